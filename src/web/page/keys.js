// The keyboard: `g` and a letter goes to a room, `/` asks, `j` and `k` walk rows, `?` shows this.
import { h, put } from "./dom.js";

const ROOMS = { o: ["#/", "overview"], a: ["#/alerts", "alerts"], r: ["#/routes", "routes"], n: ["#/neighbors", "neighbors"], p: ["#/rpki", "RPKI"] };

export function showKeys() {
  const dialog = document.getElementById("keys");
  const row = (keys, what) => [h("dt", null, keys.map((key) => h("kbd", null, key))), h("dd", null, what)];
  put(dialog, h("h2", { id: "keys-title" }, "Keyboard"),
    h("dl", { class: "keys" },
      row(["/"], "ask: a prefix, an address, an AS, a neighbor, words"),
      Object.entries(ROOMS).map(([letter, [, name]]) => row(["g", letter], name)),
      row(["j"], "next row"), row(["k"], "row before"), row(["Enter"], "open the row"),
      row(["t"], "dark, light, or as the system"), row(["Esc"], "leave a field, close this"), row(["?"], "this help")),
    h("button", { type: "button", onclick: () => dialog.close() }, "Close"));
  if (!dialog.open) dialog.showModal();
}

function walk(step) {
  const rows = [...document.querySelectorAll("main [data-row]")];
  if (rows.length === 0) return;
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = rows[Math.max(0, Math.min(rows.length - 1, at + step))] ?? rows[0];
  (next.matches("a, button") ? next : next.querySelector("a, button"))?.focus();
}

export function startKeys(turnTheme) {
  let waiting = 0;
  document.addEventListener("keydown", (event) => {
    const inField = event.target.matches?.("input, textarea, select");
    if (event.key === "Escape" && inField) return event.target.blur();
    if (inField || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const room = Date.now() - waiting < 1500 && ROOMS[event.key];
    waiting = event.key === "g" ? Date.now() : 0;
    const acts = {
      "/": () => document.getElementById("ask").focus(),
      "?": showKeys,
      j: () => walk(1),
      k: () => walk(-1),
      t: turnTheme,
    };
    if (room) location.hash = room[0];
    else if (acts[event.key]) acts[event.key]();
    else return;
    event.preventDefault();
  });
}
