// The timeline of a prefix: what neighbours said of it lately, change by change, and the paths at each step as a graph.
import { ask, called } from "./api.js";
import { h, nothing, panel, put, s } from "./dom.js";
import { graph, readPath } from "./graph.js";
import { count, duration, plural, time } from "./words.js";

const LISTED = 60;
const BEAT_MS = 900;

const key = (neighbor, id) => `${neighbor}#${id}`;

/** Steps in order; each has the paths that there are after it, by neighbour and path id. `candidates` are those of now. */
export function steps(history, candidates, now) {
  const events = history.changes.map((change) => ({ at: change.at, kind: "path", ...change }));
  const told = new Set(events.map((event) => key(event.neighbor, event.path_id)));
  const since = Date.parse(history.since);
  const paths = new Map();
  // Before the first change of a path stands what it replaced.
  for (const event of [...events].reverse()) {
    if (event.before) paths.set(key(event.neighbor, event.path_id), event.before);
    else paths.delete(key(event.neighbor, event.path_id));
  }
  for (const { route } of candidates) {
    if (!route.neighbor || told.has(key(route.neighbor, route.path_id))) continue;
    // What came with a first table is not a change: its age says since when it is there.
    const came = now - route.age_s * 1000;
    if (came <= since) paths.set(key(route.neighbor, route.path_id), route);
    else events.push({ at: new Date(came).toISOString(), kind: "path", first: true, neighbor: route.neighbor, path_id: route.path_id, before: null, after: route });
  }
  const involved = new Set([...events.map((event) => event.neighbor), ...candidates.map(({ route }) => route.neighbor)]);
  for (const event of history.sessions) if (involved.has(event.neighbor)) events.push({ ...event, kind: "session" });
  events.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
  const list = [{ event: null, paths: new Map(paths), touched: new Set() }];
  for (const event of events) {
    const touched = new Set();
    if (event.kind === "path") {
      const id = key(event.neighbor, event.path_id);
      touched.add(id);
      if (event.after) paths.set(id, event.after);
      else paths.delete(id);
    } else if (event.session === "down") {
      for (const id of [...paths.keys()]) if (id.startsWith(`${event.neighbor}#`)) { touched.add(id); paths.delete(id); }
    }
    list.push({ event, paths: new Map(paths), touched });
  }
  return list;
}

/** What happened, in words and as a kind for its colour. */
function words({ event }, before) {
  if (!event) return ["start", "As far back as is remembered"];
  const who = called(event.neighbor);
  if (event.kind === "session") {
    const gone = [...before.paths.keys()].filter((id) => id.startsWith(`${event.neighbor}#`)).length;
    return { up: ["up", `The session with ${who} came up`], away: ["down", `The session with ${who} was lost; its paths are kept for its return`],
      down: ["down", `The session with ${who} ended${gone ? `, and ${plural(gone, "path")} with it` : ""}`] }[event.session];
  }
  if (event.first) return ["up", `${who} has it from its first table: ${event.after.as_path}`];
  if (!event.after) return ["down", `${who} withdraws it`];
  if (!event.before) return ["up", `${who} announces it: ${event.after.as_path}`];
  if (event.before.as_path !== event.after.as_path) return ["change", `${who} changes its path from ${event.before.as_path} to ${event.after.as_path}`];
  return ["change", `${who} sends the same path with other attributes`];
}

/** The panel; it fills itself. */
export function timeline(answer, signal) {
  const place = h("div", null, h("p", { class: "wait" }, "Looking back…"));
  const extra = h("span", { class: "dim" });
  const box = panel("Timeline", { class: "timeline", extra }, place);
  const asked = Date.now();
  ask("history", { prefix: answer.prefix, family: answer.family }, signal).then((history) => {
    const list = steps(history, answer.candidates, asked);
    extra.textContent = `${plural(list.length - 1, "event")} since ${time(history.since)} UTC`;
    if (list.length === 1) return put(place, nothing("Nothing changed as far back as is remembered."));
    put(place, player(list, history));
  }).catch((error) => {
    if (error.name !== "AbortError") put(place, nothing(error.message));
  });
  return box;
}

function player(list, history) {
  const all = list.map((step, at) => words(step, list[at - 1]));
  const picture = h("div", { class: "picture" });
  const said = h("p", { class: "said", "aria-live": "polite" });
  const range = h("input", { type: "range", min: 0, max: list.length - 1, step: 1, "aria-label": "Step of the timeline" });
  const marks = strip(list, all);
  let timer = null;
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
  const show = (at) => {
    range.value = at;
    const { event, paths, touched } = list[at];
    const [kind, text] = all[at];
    put(said, h("b", { class: "mono" }, event ? `${time(event.at)} ` : "— "), h("span", { class: `happened ${kind}` }, text));
    const drawn = [...paths].map(([id, version]) => ({ from: id, asns: readPath(version.as_path ?? ""), kind: touched.has(id) ? "best" : "other" }));
    for (const id of touched) if (!paths.has(id)) drawn.push({ from: id, asns: readPath(list[at - 1].paths.get(id)?.as_path ?? ""), kind: "rejected" });
    // The room that was needed once stays, so that nothing below jumps from step to step.
    picture.style.minHeight = `${picture.offsetHeight}px`;
    put(picture, drawn.some((path) => path.asns.length) ? graph(drawn) : nothing("Nobody has a path to it."));
    range.setAttribute("aria-valuetext", text);
    marks.querySelectorAll(".tick").forEach((tick, index) => tick.classList.toggle("now", index + 1 === at));
    rows.querySelectorAll("button").forEach((button) => button.setAttribute("aria-current", String(Number(button.value) === at)));
  };
  const move = (by) => { stop(); show(Math.max(0, Math.min(list.length - 1, Number(range.value) + by))); };
  const play = h("button", { type: "button", dataset: { act: "play" }, onclick: () => {
    if (timer) return stop();
    if (Number(range.value) === list.length - 1) show(0);
    play.textContent = "Pause";
    timer = setInterval(() => {
      if (!play.isConnected || Number(range.value) >= list.length - 1) return stop();
      show(Number(range.value) + 1);
    }, BEAT_MS);
  } }, "Play");
  range.addEventListener("input", () => { stop(); show(Number(range.value)); });
  const first = Math.max(1, list.length - LISTED);
  const rows = h("ol", { class: "events" }, list.slice(first).map((step, index) => {
    const at = first + index;
    return h("li", null, h("button", { type: "button", value: at, onclick: () => { stop(); show(at); } },
      h("span", { class: "mono" }, time(step.event.at)), h("span", { class: `happened ${all[at][0]}` }, all[at][1])));
  }).reverse());
  show(list.length - 1);
  return [
    marks,
    h("div", { class: "buttons" }, h("button", { type: "button", "aria-label": "One step back", dataset: { act: "back" }, onclick: () => move(-1) }, "◀"), play,
      h("button", { type: "button", "aria-label": "One step on", dataset: { act: "on" }, onclick: () => move(1) }, "▶"), range),
    said, picture,
    (history.cut || first > 1) && h("p", { class: "dim" }, "Earlier changes are left out of this list."),
    history.missed > 0 && h("p", { class: "dim" }, `${count(history.missed)} changes came too fast to be remembered.`),
    rows,
  ];
}

/** When something happened, on one line of time. */
function strip(list, all) {
  const events = list.slice(1);
  const [from, to] = [Date.parse(events[0].event.at), Math.max(Date.parse(events.at(-1).event.at), Date.now())];
  const x = (at) => 4 + (592 * (Date.parse(at) - from)) / Math.max(1, to - from);
  return h("div", { class: "strip" },
    s("svg", { viewBox: "0 0 600 26", preserveAspectRatio: "none", "aria-hidden": "true" }, s("path", { class: "ground", d: "M0 20H600" }),
      events.map(({ event }, at) => s("path", { class: `tick ${all[at + 1][0]}`, d: `M${x(event.at).toFixed(1)} 5V20` }))),
    h("p", { class: "dim pair" }, h("span", null, time(events[0].event.at)), h("span", null, `now, ${duration((to - from) / 1000)} later`)));
}
