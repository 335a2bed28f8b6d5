// Questions to the daemon, and what it tells by itself.

/** Asks; parameters that are empty are left out, lists are repeated. */
export async function ask(path, parameters, signal) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters ?? {})) {
    for (const one of [value].flat()) if (one !== undefined && one !== null && one !== "") query.append(name, one);
  }
  const text = query.toString();
  return answer(await reach(`/api/v1/${path}${text && `?${text}`}`, { signal }));
}

/** Commands. */
export async function tell(method, path, body) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  return answer(await reach(`/api/v1/${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) }));
}

async function reach(url, options) {
  try {
    return await fetch(url, { cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the daemon does not answer");
  }
}

async function answer(response) {
  let body = null;
  try { body = await response.json(); } catch (error) { if (error.name === "AbortError") throw error; }
  if (response.status === 401 && !response.url.endsWith("/session")) unknown();
  if (!response.ok) {
    const failure = new Error(body?.error ?? `the daemon answered ${response.status}`);
    failure.status = response.status;
    throw failure;
  }
  if (body === null) throw new Error("the daemon's answer cannot be read");
  return body;
}

let unknown = () => {};

/** Says what to do when we are not known any more. */
export function whenUnknown(act) { unknown = act; }

/** Without a sign of life for so long, what is shown is old. */
const SILENCE_MS = 7000;
const RETRY_MS = 2000;

/**
 * Listens until the page is closed. `heard(name, data)` gets `status`, `session` and `alert`; `changed(live)` whether the daemon is
 * there; `missed()` says that everything shown must be asked again.
 */
export function listen({ heard, changed, missed }) {
  let source = null, last = Date.now(), live = null, began = null;
  const set = (now) => {
    if (live === now) return;
    const back = live === false && now;
    live = now;
    changed(now, last);
    if (back) missed("back");
  };
  const open = () => {
    source?.close();
    source = new EventSource("/api/v1/events");
    for (const name of ["status", "session", "alert"]) {
      source.addEventListener(name, (event) => {
        last = Date.now();
        const data = JSON.parse(event.data);
        if (name === "status") {
          // Another start is another daemon: nothing that is shown need still be so.
          if (began !== null && began !== data.daemon.started_at && live) missed("restarted");
          began = data.daemon.started_at;
        }
        heard(name, data);
        set(true);
      });
    }
    source.addEventListener("lagged", () => { last = Date.now(); missed("lagged"); });
    source.onerror = () => {
      set(false);
      // Refused, not interrupted: the browser would not try again.
      if (source.readyState === EventSource.CLOSED) {
        unknown();
        setTimeout(open, RETRY_MS);
      }
    };
  };
  open();
  setInterval(() => {
    if (Date.now() - last <= SILENCE_MS) return;
    set(false);
    // A connection that went silent (a sleeping laptop, a dead path) is not worth waiting for.
    if (source.readyState === EventSource.OPEN && Date.now() - last > 3 * SILENCE_MS) { last = Date.now(); open(); }
  }, 1000);
}

/** Most neighbours whose names are known beside their addresses. */
const NAMES_MAX = 1000;
const names = new Map();
let asked = null;

/** Learns what neighbours are called; once, or again when asked to. */
export function learnNames(again) {
  if (again) asked = null;
  asked ??= ask("neighbors", { limit: NAMES_MAX }).then((page) => {
    names.clear();
    for (const neighbor of page.neighbors) if (neighbor.name) names.set(neighbor.address, neighbor.name);
  }).catch(() => { asked = null; });
  return asked;
}

/** The name of a neighbour, or its address. */
export const called = (neighbor) => names.get(neighbor) ?? neighbor;

/** All names that are known. */
export const allNames = () => [...names.values()];
