// One alert: why, what it rests on, the paths before and after, and what people do about it.
import { ask, called, learnNames, tell } from "./api.js";
import { field, h, nothing, panel, put, s, select, table, toast, trouble } from "./dom.js";
import { graph, readPath } from "./graph.js";
import { session } from "./login.js";
import { KINDS, VALIDITY, ago, count, duration, plural, spaced, time } from "./words.js";

const PATHS = 40;

export function alert({ main, word, signal }) {
  const place = h("div", { class: "alert" });
  put(main, h("p", { class: "crumbs" }, h("a", { href: "#/alerts" }, "Alerts")), place);
  let shown = null;
  const draw = (alert) => {
    if (shown && JSON.stringify(shown) === JSON.stringify(alert)) return;
    shown = alert;
    if (place.querySelector("input:focus, textarea:focus, select:focus")) {
      // Not under the reader's fingers: when they leave the field.
      place.addEventListener("focusout", () => setTimeout(redraw), { once: true });
    } else {
      redraw();
    }
  };
  const redraw = () => {
    const drafts = [...place.querySelectorAll("[name]")].map((control) => [control.name, control.value]);
    put(place, whole(shown, draw, signal));
    for (const [name, value] of drafts) {
      const control = place.querySelector(`[name="${name}"]`);
      if (control && value && !control.value) control.value = value;
    }
  };
  const load = async () => {
    try {
      draw(await ask(`alerts/${encodeURIComponent(word)}`, {}, signal));
    } catch (error) {
      if (error.name !== "AbortError") put(place, h("h1", null, "Alert"), trouble(error));
    }
  };
  load();
  return {
    heard(name, data) { if (name === "alert" && data.alert.id === shown?.id) draw(data.alert); },
    again: load,
  };
}

function whole(alert, draw, signal) {
  const paths = h("div", { class: "body" }, h("p", { class: "wait" }, "Reading paths…"));
  const withPaths = alert.prefix !== null || observed(alert).length > 0;
  if (withPaths) drawPaths(paths, alert, signal);
  return [
    h("header", { class: `head ${alert.severity} ${alert.state}` },
      h("p", { class: "eyebrow" }, h("b", null, alert.severity), ` · ${KINDS[alert.kind] ?? alert.kind} · `, h("span", { class: `tag ${alert.state}` }, alert.state),
        alert.muted && h("span", { class: "tag" }, `muted: ${alert.muted}`)),
      h("h1", null, alert.summary),
      h("p", { class: "why" }, alert.why)),
    h("div", { class: "columns" },
      h("div", null,
        withPaths && panel("Paths", null, paths),
        panel("What it rests on", null, evidence(alert)),
        alert.member_count > 0 && alert.members.length > 0 && members(alert)),
      h("aside", null, panel("Facts", null, facts(alert)), people(alert, draw))),
  ];
}

function facts(alert) {
  const row = (name, ...value) => [h("dt", null, name), h("dd", null, value)];
  const times = (text) => h("time", { datetime: text, title: text }, `${time(text)} UTC`);
  return h("dl", { class: "facts" },
    alert.prefix && row("Prefix", h("a", { class: "mono", href: `#/routes?prefix=${encodeURIComponent(alert.prefix)}` }, alert.prefix)),
    Object.entries(alert.asns).map(([part, asns]) => row(spaced(part), [asns].flat().map((asn, at) => [at > 0 && ", ", h("a", { class: "mono", href: `#/routes?origin=${asn}` }, `AS${asn}`)]))),
    alert.neighbors.length > 0 && row("Shown by", alert.neighbors.map((name, at) => [at > 0 && ", ", h("a", { href: `#/neighbors/${encodeURIComponent(name)}` }, name)])),
    row("First seen", times(alert.first_seen), ` (${ago(alert.first_seen)})`),
    row("Last seen", times(alert.last_seen)),
    alert.resolved_at && row("Over since", times(alert.resolved_at)),
    alert.reopened > 0 && row("Came back", plural(alert.reopened, "time")),
    alert.acknowledged_by && row("Who has it", alert.acknowledged_by),
    row("Id", h("span", { class: "mono" }, alert.id)));
}

/** Terms of the score as bars, then everything else by name. */
function evidence(alert) {
  const { score, paths, ...rest } = alert.evidence;
  const most = Math.max(1, ...(score ?? []).map((term) => Math.abs(term.weight)));
  const parts = [];
  if (score?.length) {
    parts.push(h("table", { class: "score" }, h("caption", null, "What speaks for it and against it"), h("tbody", null, score.map((term) => h("tr", null,
      h("th", { scope: "row" }, spaced(term.name)),
      h("td", { class: "number" }, `${term.weight > 0 ? "+" : "−"}${Math.abs(term.weight)}`),
      h("td", { class: "bar" }, s("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
        s("rect", { class: term.weight > 0 ? "for" : "against", y: 1, width: (100 * Math.abs(term.weight)) / most, height: 6 }))))))));
  }
  if (Array.isArray(paths) && paths.length) {
    parts.push(table("Paths that show it", [["Neighbor"], ["AS path"], ["Origin"], ["Since"]], paths.map((path) => h("tr", null,
      h("td", null, h("a", { href: `#/neighbors/${encodeURIComponent(path.neighbor)}` }, path.neighbor)),
      h("td", { class: "mono" }, path.as_path), h("td", null, h("span", { class: `valid ${path.validation}` }, VALIDITY[path.validation] ?? path.validation ?? "–")),
      h("td", { class: "mono", title: path.since }, path.since ? time(path.since) : "–")))));
  }
  const shown = Array.isArray(paths) ? rest : alert.evidence;
  const others = Object.entries(shown).filter(([name]) => name !== "score");
  if (others.length) parts.push(h("dl", { class: "facts" }, others.map(([name, value]) => [h("dt", null, spaced(name)), h("dd", null, written(value))])));
  return parts.length ? parts : nothing("It rests on what the sentence above says.");
}

function written(value) {
  if (value === null) return "–";
  if (Array.isArray(value)) {
    if (value.length === 0) return "none";
    return h("ul", { class: "plain" }, value.map((one) => h("li", null, written(one))));
  }
  if (typeof value === "object") return h("span", null, Object.entries(value).map(([name, one], at) => [at > 0 && ", ", `${spaced(name)} `, h("span", { class: "mono" }, written(one))]));
  return h("span", { class: "mono" }, String(value));
}

function members(alert) {
  const link = (member) => (/^[0-9a-f.:]+\/\d+$/i.test(member) ? h("a", { href: `#/routes?prefix=${encodeURIComponent(member)}` }, member) : member);
  return panel(`Members`, { extra: h("span", { class: "dim" }, alert.member_count > alert.members.length ? `${count(alert.members.length)} of ${count(alert.member_count)}` : count(alert.member_count)) },
    h("ul", { class: "members mono" }, alert.members.map((member) => h("li", null, link(member)))));
}

/** Paths that the evidence itself has. */
function observed(alert) {
  const { paths, as_path: one, lost, last_path: last } = alert.evidence;
  const list = [];
  if (Array.isArray(paths)) for (const path of paths) if (path.as_path) list.push({ from: path.neighbor, asns: readPath(path.as_path), kind: "observed" });
  if (typeof one === "string") list.push({ from: alert.neighbors[0] ?? "", asns: readPath(one), kind: "observed" });
  if (Array.isArray(lost)) for (const path of lost) if (path.last_path) list.push({ from: path.neighbor, asns: readPath(path.last_path), kind: "before" });
  if (typeof last === "string") list.push({ from: "", asns: readPath(last), kind: "before" });
  return list;
}

/** Before: paths to the declared prefix from those who should originate it. After: what the evidence shows. */
async function drawPaths(place, alert, signal) {
  const after = observed(alert);
  const expected = [alert.asns.expected ?? []].flat();
  const about = alert.evidence.rule ?? alert.prefix;
  let before = after.filter((path) => path.kind === "before");
  if (about) {
    try {
      const [page] = await Promise.all([ask("rib", { table: "adj-in", prefix: about, limit: PATHS }, signal), learnNames()]);
      const fits = (route) => (expected.length ? expected.includes(route.origin_as) : true);
      const known = new Set(after.map((path) => path.asns.join(" ")));
      for (const route of page.routes.filter(fits)) {
        const asns = readPath(route.as_path ?? "");
        if (!known.has(asns.join(" "))) before.push({ from: route.neighbor ? called(route.neighbor) : "this router", asns, kind: "before" });
      }
    } catch (error) {
      if (error.name === "AbortError") return;
    }
  }
  const now = after.filter((path) => path.kind === "observed");
  const picture = h("div");
  const choose = (which) => {
    const paths = [...(which === "after" ? [] : before), ...(which === "before" ? [] : now)];
    put(picture, paths.length ? graph(paths, { good: expected, bad: [alert.asns.observed ?? [], alert.asns.leaker ?? [], alert.asns.bogon ?? []].flat() })
      : nothing(which === "before" ? "No path as declared is here now." : "No path shows it now."));
    for (const button of buttons.children) button.setAttribute("aria-pressed", String(button.value === which));
  };
  const button = (value, title) => h("button", { type: "button", value, onclick: () => choose(value) }, title);
  const buttons = h("div", { class: "choice", role: "group", "aria-label": "Which paths" },
    button("both", "Both"), button("before", "As it should be"), button("after", "What is wrong"));
  put(place, before.length > 0 && now.length > 0 && buttons,
    picture,
    h("p", { class: "legend" },
      before.length > 0 && h("span", { class: "key before" }, `${plural(before.length, "path")} as it should be`),
      now.length > 0 && h("span", { class: "key observed" }, `${plural(now.length, "path")} that ${now.length === 1 ? "shows" : "show"} it`)));
  choose("both");
}

/** What people do: take it, write, mute. The name is remembered in this browser. */
function people(alert, draw) {
  const known = session.login ? session.name ?? "" : "";
  const remembered = () => { try { return localStorage.getItem("ribwatch.author") ?? known; } catch { return known; } };
  const author = h("input", { name: "author", value: remembered(), required: true, maxlength: 100, autocomplete: "nickname", placeholder: "who you are" });
  const text = h("textarea", { name: "text", rows: 2, maxlength: 4000, placeholder: "what you found, or do" });
  const act = async (what, method, path, body, done) => {
    if (!author.value.trim()) { author.focus(); return toast("Say who you are first.", "warning"); }
    try { localStorage.setItem("ribwatch.author", author.value.trim()); } catch { /* asked again next time */ }
    try {
      const answer = await tell(method, path, body);
      if (answer.kind) {
        text.value = "";
        document.activeElement?.blur();
        draw(answer);
      }
      toast(done);
    } catch (error) {
      toast(`${what}: ${error.message}`, "critical");
    }
  };
  const id = `alerts/${alert.id}`;
  const said = () => ({ author: author.value.trim(), note: text.value.trim() });
  const live = alert.state !== "resolved";
  const taken = alert.state === "acknowledged";
  const form = h("form", { class: "people" }, field("Name", author), field("Comment", text),
    h("div", { class: "buttons" },
      live && !taken && h("button", { type: "button", class: "main", dataset: { act: "ack" }, onclick: () => act("Acknowledge", "POST", `${id}/acknowledge`, said(), "It is yours.") }, "Acknowledge"),
      taken && h("button", { type: "button", dataset: { act: "unack" }, onclick: () => act("Give back", "POST", `${id}/unacknowledge`, said(), "It is open again.") }, "Give back"),
      h("button", { type: "submit", dataset: { act: "comment" } }, "Comment")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!text.value.trim()) { text.focus(); return; }
    act("Comment", "POST", `${id}/comments`, { author: author.value.trim(), text: text.value.trim() }, "Written down.");
  });
  return [
    panel("What people say", null,
      alert.comments.length ? h("ol", { class: "comments" }, alert.comments.map((one) => h("li", null,
        h("p", { class: "dim" }, h("b", null, one.author), ` · ${time(one.at)} UTC`), h("p", { class: "said" }, one.text)))) : nothing("Nobody wrote anything yet."),
      session.may_command ? form : nothing(`${session.name} has the role ${session.role}, which reads and changes nothing.`)),
    live && session.may_command && panel("Mute", null, alert.muted ? [
      h("p", null, `Nobody is told of it: ${alert.muted}`),
      h("button", { type: "button", dataset: { act: "unmute" }, onclick: () => act("Unmute", "DELETE", `mutes/${alert.id}`, undefined, "People are told of it again.") }, "End the mute"),
    ] : mute(alert, author, act)),
  ];
}

const LENGTHS = [[3600, "1 hour"], [14_400, "4 hours"], [86_400, "1 day"], [604_800, "1 week"]];

function mute(alert, author, act) {
  const reason = h("input", { name: "reason", required: true, maxlength: 400, placeholder: "why nobody need be told" });
  const length = select("length", [...LENGTHS.map(([seconds, title]) => [String(seconds), title]), ["at", "until …"]], "3600");
  const until = h("input", { name: "until", type: "datetime-local", hidden: true, "aria-label": "End, in your time zone" });
  const what = select("what", [["alert", "this alert"], ["kind", `every ${KINDS[alert.kind] ?? alert.kind}`], ...(alert.prefix ? [["prefix", `everything in ${alert.prefix}`]] : [])], "alert");
  const said = h("p", { class: "dim" });
  const seconds = () => (length.value === "at" ? Math.round((new Date(until.value).getTime() - Date.now()) / 1000) : Number(length.value));
  const say = () => {
    until.hidden = length.value !== "at";
    const end = seconds();
    said.textContent = end > 0 ? `It ends by itself in ${duration(end)}, ${time(new Date(Date.now() + end * 1000).toISOString())} UTC.` : "Say when it ends.";
  };
  const form = h("form", { class: "people" }, field("What", what), field("Why", reason), field("For", length), until, said,
    h("div", { class: "buttons" }, h("button", { type: "submit", dataset: { act: "mute" } }, "Mute")));
  form.addEventListener("input", say);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!(seconds() > 0)) { until.focus(); return; }
    const scope = { alert: { alert: alert.id }, kind: { kinds: [alert.kind] }, prefix: { prefixes: [alert.prefix] } }[what.value];
    act("Mute", "POST", "mutes", { ...scope, reason: reason.value.trim(), author: author.value.trim(), length_s: seconds() }, "Muted until it ends by itself.");
  });
  say();
  return form;
}
