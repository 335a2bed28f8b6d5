// How numbers, times and states are written.

const whole = new Intl.NumberFormat("en-US");

/** `1,234,567` */
export const count = (value) => (value === null || value === undefined ? "–" : whole.format(value));

/** `1 path`, `2 paths` */
export const plural = (value, word) => `${count(value)} ${word}${value === 1 ? "" : "s"}`;

/** `950`, `12.3k`, `1.24M`: for places with little room. */
export function brief(value) {
  if (value < 10_000) return count(value);
  if (value < 1_000_000) return `${(value / 1000).toFixed(value < 100_000 ? 1 : 0)}k`;
  return `${(value / 1_000_000).toFixed(value < 10_000_000 ? 2 : 1)}M`;
}

/** `12 s`, `3 min`, `2 h 5 min`, `4 d 3 h` */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const [d, hrs, m] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (d > 0) return hrs > 0 ? `${d} d ${hrs} h` : `${d} d`;
  if (hrs > 0) return m > 0 ? `${hrs} h ${m} min` : `${hrs} h`;
  return m > 0 ? `${m} min` : `${Math.floor(seconds)} s`;
}

/** `21:04:33` today, with the date before. UTC, as in logs. */
export function time(text) {
  if (!text) return "–";
  const iso = new Date(text).toISOString();
  const clock = iso.slice(11, 19);
  return iso.slice(0, 10) === new Date().toISOString().slice(0, 10) ? clock : `${iso.slice(0, 10)} ${clock}`;
}

/** `3 min ago` */
export const ago = (text) => (text ? `${duration(Math.max(0, (Date.now() - new Date(text).getTime()) / 1000))} ago` : "–");

export const STATES = {
  idle: "idle", connect: "connect", active: "active", open_sent: "open sent", open_confirm: "open confirm", established: "established",
};

export const VALIDITY = { valid: "valid", invalid: "invalid", not_found: "not found", unknown: "unknown", not_checked: "not checked" };

export const SEVERITIES = ["critical", "warning", "info"];

/** What a kind of alert is called. */
export const KINDS = {
  "origin-hijack": "origin hijack", "subprefix-hijack": "subprefix hijack", "covering-prefix": "covering prefix", squatting: "squatting",
  "first-hop": "first hop", "path-rule": "path rule", moas: "several origins", "rpki-invalid": "RPKI invalid", "rpki-lost-cover": "RPKI cover lost",
  "roa-change": "ROA change", "rpki-cache": "RPKI cache", "aspa-invalid": "ASPA invalid", "route-leak": "route leak", otc: "only to customer",
  peerlock: "peerlock", bogon: "bogon", visibility: "visibility", "new-prefix": "new prefix", "new-neighbor": "new neighbor", flap: "flapping",
  "prefix-count": "prefix count", blackhole: "blackhole", session: "session",
};

/** `some_name` as words. */
export const spaced = (name) => name.replaceAll("_", " ").replaceAll("-", " ");
