// The page as a whole: which room is open, what the daemon tells, the theme, the search line.
import { ask, learnNames, listen, whenUnknown } from "./api.js";
import { h, nothing, put, toast, trouble } from "./dom.js";
import { showKeys, startKeys } from "./keys.js";
import { begin, stillKnown } from "./login.js";
import { time } from "./words.js";
import { overview } from "./overview.js";
import { alerts } from "./alerts.js";
import { alert } from "./alert.js";
import { routes } from "./routes.js";
import { neighbor, neighbors } from "./neighbors.js";
import { rpki } from "./rpki.js";

const main = document.getElementById("main");

/** What rooms share: the last status, and how to go elsewhere. */
const site = { status: null, go, replace };
let room = null;
let leaving = null;

const ROOMS = [
  [/^\/$/, "overview", "Overview", overview],
  [/^\/alerts$/, "alerts", "Alerts", alerts],
  [/^\/alerts\/([^/]+)$/, "alerts", "Alert", alert],
  [/^\/routes$/, "routes", "Routes", routes],
  [/^\/neighbors$/, "neighbors", "Neighbors", neighbors],
  [/^\/neighbors\/([^/]+)$/, "neighbors", "Neighbor", neighbor],
  [/^\/rpki$/, "rpki", "RPKI", rpki],
];

/** The address of a room with its parameters; empty ones are left out. */
export function address(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters ?? {})) {
    for (const one of [value].flat()) if (one !== "" && one !== undefined && one !== null) query.append(name, one);
  }
  const text = query.toString();
  return `#${path}${text && `?${text}`}`;
}

function go(path, parameters) {
  const to = address(path, parameters);
  if (location.hash === to) show();
  else location.hash = to;
}

/** As `go`, without a step in the history and without showing anything anew. */
function replace(path, parameters) {
  history.replaceState(null, "", address(path, parameters));
}

function show() {
  const [path, query] = (location.hash.slice(1) || "/").split("?", 2);
  const parameters = new URLSearchParams(query ?? "");
  leaving?.abort();
  leaving = new AbortController();
  room = null;
  for (const link of document.querySelectorAll("nav.rooms a")) link.removeAttribute("aria-current");
  for (const [pattern, name, title, open] of ROOMS) {
    const found = pattern.exec(path);
    if (!found) continue;
    document.querySelector(`nav.rooms [data-room="${name}"]`).setAttribute("aria-current", "page");
    document.title = `${title} · ribwatch`;
    main.dataset.room = name;
    try {
      room = open({ main, site, parameters, word: found[1] && decodeURIComponent(found[1]), signal: leaving.signal }) ?? {};
    } catch (error) {
      put(main, trouble(error));
    }
    window.scrollTo(0, 0);
    return;
  }
  document.title = "Not here · ribwatch";
  put(main, h("h1", null, "There is no such room"), nothing(`Nothing is at ${path}. `, h("a", { href: "#/" }, "The overview"), " is a good place to start."));
}

function heard(name, data) {
  if (name === "status") {
    site.status = data;
    const { critical = 0, warning = 0, info = 0 } = data.alerts.by_state.open;
    const open = critical + warning + info;
    const badge = document.getElementById("badge");
    badge.hidden = open === 0;
    badge.textContent = open > 99 ? "99+" : String(open);
    badge.className = critical ? "critical" : warning ? "warning" : "info";
    badge.setAttribute("aria-label", `${open} open`);
    put(document.getElementById("self"), h("b", null, `AS${data.daemon.asn}`), " ", data.daemon.router_id);
  }
  if (name === "alert" && data.why === "opened" && data.alert.severity === "critical") toast(data.alert.summary, "critical");
  room?.heard?.(name, data);
}

function changed(live, last) {
  const sign = document.getElementById("live");
  sign.className = `live ${live ? "on" : "off"}`;
  sign.querySelector("span").textContent = live ? "live" : "no contact";
  const banner = document.getElementById("banner");
  banner.hidden = live;
  put(banner, live ? "" : `The daemon does not answer. What you see is from ${time(new Date(last).toISOString())} UTC. Trying again by itself.`);
}

function missed(why) {
  const words = { lagged: "This page fell behind and was brought up to date.", back: "The daemon is back.", restarted: "The daemon was started anew." };
  toast(words[why]);
  learnNames(true);
  if (room?.again) room.again();
  else show();
}

const THEMES = [null, "dark", "light"];
const SIGNS = { null: ["◐", "as the system"], dark: ["●", "dark"], light: ["○", "light"] };

function turnTheme() {
  const now = document.documentElement.dataset.theme ?? null;
  setTheme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  try {
    if (theme) localStorage.setItem("ribwatch.theme", theme);
    else localStorage.removeItem("ribwatch.theme");
  } catch { /* it holds until the page is closed */ }
  const [sign, words] = SIGNS[theme];
  const button = document.getElementById("theme");
  button.textContent = sign;
  button.setAttribute("aria-label", `Theme: ${words}`);
  button.title = `Theme: ${words} (t)`;
}

/** One line for everything: addresses and prefixes, AS numbers, neighbours, else words of alerts. */
async function search(word) {
  if (/^(as)?\d+$/i.test(word)) return go("/routes", { origin: word.replace(/^as/i, "") });
  if (/^[0-9a-f:.]*[.:][0-9a-f:.]*(\/\d+)?$/i.test(word)) return go("/routes", { prefix: word });
  try {
    await ask(`neighbors/${encodeURIComponent(word)}`);
    go(`/neighbors/${encodeURIComponent(word)}`);
  } catch {
    go("/alerts", { text: word });
  }
}

document.getElementById("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = document.getElementById("ask");
  const word = field.value.trim();
  if (!word) return;
  field.value = "";
  field.blur();
  search(word);
});
document.getElementById("theme").addEventListener("click", turnTheme);
document.getElementById("help").addEventListener("click", showKeys);
setTheme(document.documentElement.dataset.theme ?? null);
whenUnknown(() => { stillKnown().catch(() => { /* nobody answers: the banner says so */ }); });
begin(main, () => {
  startKeys(turnTheme);
  window.addEventListener("hashchange", show);
  show();
  listen({ heard, changed, missed });
});
