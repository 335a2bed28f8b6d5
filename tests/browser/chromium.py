"""A headless Chromium, driven by the DevTools protocol over a pipe: no port, no library."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time


def high_pipe():
    """A pipe whose ends are not among the descriptors that the browser wants for itself."""
    low = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in low]
    for end in low:
        os.close(end)
    return high


class Chromium:
    def __init__(self):
        self.home = tempfile.mkdtemp(prefix="ribwatch-chromium-")
        to_read, self.write_end = high_pipe()
        self.read_end, to_write = high_pipe()
        program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if not program:
            raise SystemExit("no chromium: apt-get install chromium")
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio",
                 f"--user-data-dir={self.home}", "--remote-debugging-pipe", "about:blank"]
        # The browser reads file descriptor 3 and writes 4.
        script = f'exec "$0" "$@" 3<&{to_read} 4>&{to_write} {to_read}<&- {to_write}>&-'
        self.process = subprocess.Popen(["bash", "-c", script, program, *flags], pass_fds=(to_read, to_write),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(to_write)
        self.changed = threading.Condition()
        self.number, self.answers, self.events = 0, {}, []
        threading.Thread(target=self.hear, daemon=True).start()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def hear(self):
        rest = b""
        while True:
            try:
                data = os.read(self.read_end, 1 << 20)
            except OSError:
                data = b""
            if not data:
                with self.changed:
                    self.answers = None
                    self.changed.notify_all()
                return
            *texts, rest = (rest + data).split(b"\0")
            with self.changed:
                for text in texts:
                    message = json.loads(text)
                    if "id" in message:
                        self.answers[message["id"]] = message
                    else:
                        self.events.append(message)
                self.changed.notify_all()

    def call(self, method, **parameters):
        with self.changed:
            self.number += 1
            number = self.number
            message = {"id": number, "method": method, "params": parameters}
            if hasattr(self, "session") and not method.startswith("Target."):
                message["sessionId"] = self.session
            data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.write_end, data):]
        with self.changed:
            self.changed.wait_for(lambda: self.answers is None or number in self.answers, 30)
            answer = (self.answers or {}).pop(number, None)
        if answer is None:
            raise RuntimeError(f"the browser does not answer {method}")
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def run(self, script):
        """What an expression is worth; promises are waited for."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails'].get('exception', {}).get('description')}")
        return answer["result"].get("value")

    def until(self, script, patience=10, what=None):
        """Looks until an expression is true."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            try:
                if self.run(f"!!({script})"):
                    return
            except RuntimeError:
                # Between two pages there is nothing to look at.
                pass
            time.sleep(0.02)
        text = self.run("document.body.innerText")
        raise AssertionError(f"did not happen on the page: {what or script}\n--- the page says:\n{text[:2500]}")

    def size(self, width, height, phone=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone)

    def theme(self, name):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def open(self, url):
        self.call("Page.navigate", url=url)

    def key(self, key):
        code = {"Enter": 13, "Escape": 27}.get(key, 0)
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        shared = {"key": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **shared)
        self.call("Input.dispatchKeyEvent", type="keyUp", **shared)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def shot(self, path, whole=False):
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def troubles(self):
        """Errors that the page made: exceptions, refused by the policy, failed loads."""
        found = []
        for event in self.events:
            method, parameters = event["method"], event.get("params", {})
            if method == "Runtime.exceptionThrown":
                found.append(parameters["exceptionDetails"].get("exception", {}).get("description") or parameters["exceptionDetails"]["text"])
            if method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
                found.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
            if method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "assert"):
                found.append(str(parameters["args"]))
        return found

    def close(self):
        try:
            self.call("Browser.close")
            self.process.wait(10)
        except (RuntimeError, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)
