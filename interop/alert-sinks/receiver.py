"""Takes mail, HTTP requests and syslog messages, checks what can be checked, and writes each to /run/got, one line of JSON.

What `formats.py` finds wrong with it stands in `faults`. Slack and PagerDuty answer as the real ones do.
"""

import base64
import email
import email.policy
import hashlib
import hmac
import http.server
import json
import socketserver
import threading

import formats

KEY = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
LOCK = threading.Lock()


def note(kind, **what):
    """One more line in /run/got."""
    with LOCK, open("/run/got", "a", encoding="utf-8") as file:
        file.write(json.dumps({"kind": kind, **what}) + "\n")


class Mail(socketserver.StreamRequestHandler):
    """SMTP (RFC 5321), as much as one client needs."""

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self):
        self.say("220 post ESMTP")
        sender, recipients = None, []
        while line := self.rfile.readline():
            words = line.decode().rstrip("\r\n")
            verb = words.split(" ")[0].upper()
            if verb == "EHLO":
                self.say("250-post")
                self.say("250 8BITMIME")
            elif verb == "MAIL":
                sender = words.split("<")[1].split(">")[0]
                self.say("250 ok")
            elif verb == "RCPT":
                recipient = words.split("<")[1].split(">")[0]
                if recipient.startswith("refused"):
                    self.say("550 nobody here")
                else:
                    recipients.append(recipient)
                    self.say("250 ok")
            elif verb == "DATA":
                self.say("354 go on")
                octets = b""
                while (data := self.rfile.readline()) != b".\r\n":
                    octets += data[1:] if data.startswith(b"..") else data
                self.take(sender, recipients, octets)
                self.say("250 queued")
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("502 no")

    def take(self, sender, recipients, octets):
        """Python's own parser reads it, and says what is wrong with it."""
        message = email.message_from_bytes(octets, policy=email.policy.default)
        defects = [type(defect).__name__ for part in message.walk() for defect in part.defects]
        note("mail", sender=sender, recipients=recipients, defects=defects, subject=message["Subject"],
             thread=message["References"] or message["Message-ID"], date=str(message["Date"].datetime),
             text=message.get_content(), headers=dict(message.items()), faults=formats.mail(message, octets))


class Hook(http.server.BaseHTTPRequestHandler):
    """HTTP: refuses what goes to /refuse, verifies signatures where there are any, plays Slack and PagerDuty."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path in formats.SERVICES:
            code, answer, faults = formats.SERVICES[self.path](self.headers, body)
            note("http", path=self.path, body=json.loads(body), faults=faults)
            self.send_response(code)
            self.end_headers()
            self.wfile.write(answer.encode())
            return
        signed = None
        if "webhook-signature" in self.headers:
            text = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + body
            right = "v1," + base64.b64encode(hmac.new(KEY, text, hashlib.sha256).digest()).decode()
            signed = hmac.compare_digest(right, self.headers["webhook-signature"])
        faults = formats.webhook(self.headers, json.loads(body)) if self.path == "/hook" else []
        note("http", path=self.path, signed=signed, body=json.loads(body), faults=faults)
        refused = self.path == "/refuse"
        self.send_response(422 if refused else 200)
        self.end_headers()
        self.wfile.write(b"no such field" if refused else b"thanks")

    def log_message(self, *_):
        pass


class Datagram(socketserver.BaseRequestHandler):
    """Syslog over UDP (RFC 5426): one message in each datagram."""

    def handle(self):
        line = self.request[0].decode()
        note("syslog-udp", line=line, faults=formats.syslog(line, 2048))


class Stream(socketserver.StreamRequestHandler):
    """Syslog over TCP with counted octets (RFC 6587 section 3.4.1)."""

    def handle(self):
        while True:
            count = b""
            while (octet := self.rfile.read(1)) not in (b" ", b""):
                count += octet
            if not count:
                return
            line = self.rfile.read(int(count)).decode()
            note("syslog-tcp", line=line, faults=formats.syslog(line, 1 << 20))


def main():
    open("/run/got", "w", encoding="utf-8").close()
    tcp = socketserver.ThreadingTCPServer
    tcp.allow_reuse_address = True
    servers = [tcp(("", 25), Mail), http.server.ThreadingHTTPServer(("", 8080), Hook), tcp(("", 514), Stream),
               socketserver.UDPServer(("", 514), Datagram)]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
