// The list of alerts, with filters that the daemon applies, a page at a time.
import { ask, tell } from "./api.js";
import { field, h, nothing, panel, put, select, table, toast, trouble } from "./dom.js";
import { session } from "./login.js";
import { KINDS, SEVERITIES, ago, plural, time } from "./words.js";

const PAGE = 50;
const STATES = [["", "open and acknowledged"], ["open", "open"], ["acknowledged", "acknowledged"], ["resolved", "resolved"], ["all", "all"]];

/** One alert as a line: how grave, what, why. */
export function alertLine(alert) {
  return h("article", { class: `line ${alert.severity} ${alert.state}`, dataset: { row: alert.id } },
    h("span", { class: "mark", title: alert.severity }, h("span", { class: "unseen" }, `${alert.severity}, `)),
    h("div", null,
      h("h3", null, h("a", { href: `#/alerts/${alert.id}` }, alert.summary)),
      h("p", { class: "why" }, alert.why),
      h("p", { class: "facts" },
        h("span", null, KINDS[alert.kind] ?? alert.kind),
        alert.prefix && h("span", { class: "mono" }, alert.prefix),
        alert.member_count > 1 && h("span", null, plural(alert.member_count, "member")),
        h("span", { title: alert.first_seen }, alert.state === "resolved" ? `over since ${time(alert.resolved_at)}` : ago(alert.first_seen)),
        alert.state === "acknowledged" && h("span", { class: "tag" }, `${alert.acknowledged_by} has it`),
        alert.muted && h("span", { class: "tag" }, "muted"),
        alert.reopened > 0 && h("span", null, `came back ${plural(alert.reopened, "time")}`))));
}

export function alerts({ main, site, parameters, signal }) {
  const asked = Object.fromEntries(["state", "kind", "severity", "text", "prefix", "asn", "neighbor"].map((name) => [name, parameters.get(name) ?? ""]));
  const list = h("div", { class: "lines" });
  const foot = h("div", { class: "foot" });
  const muted = h("div");
  const form = h("form", { class: "filters", "aria-label": "Filter alerts" },
    field("State", select("state", STATES, asked.state)),
    field("At least", select("severity", [["", "any"], ...[...SEVERITIES].reverse().map((name) => [name, name])], asked.severity)),
    field("Kind", select("kind", [["", "any"], ...Object.entries(KINDS)], asked.kind)),
    field("Prefix", h("input", { name: "prefix", value: asked.prefix, size: 16, spellcheck: "false", placeholder: "192.0.2.0/24" })),
    field("AS", h("input", { name: "asn", value: asked.asn, size: 8, inputmode: "numeric", placeholder: "64500" })),
    field("Neighbor", h("input", { name: "neighbor", value: asked.neighbor, size: 10, spellcheck: "false" })),
    field("Words", h("input", { name: "text", value: asked.text, size: 14, type: "search" })));
  put(main, h("h1", null, "Alerts"), form, list, foot, muted);

  const question = () => {
    const { state, asn, ...rest } = asked;
    const states = { "": ["open", "acknowledged"], all: "" }[state] ?? state;
    return { ...rest, asn: asn.replace(/^as/i, ""), state: states };
  };
  let turn = 0, shown = 0;
  const load = async (next) => {
    const mine = ++turn;
    try {
      const limit = next ? PAGE : Math.max(PAGE, Math.min(1000, shown));
      const page = await ask("alerts", { ...question(), limit, next }, signal);
      if (mine !== turn) return;
      const lines = page.alerts.map(alertLine);
      if (next) list.append(...lines);
      else put(list, lines.length ? lines : nothing(asked.state || asked.kind || asked.severity || asked.text || asked.prefix || asked.asn || asked.neighbor
        ? "No alert is like that." : "Nothing is wrong that ribwatch knows of."));
      shown = list.querySelectorAll(".line").length;
      put(foot, page.next ? h("button", { type: "button", onclick: () => load(page.next) }, "Show more")
        : shown > 0 && h("p", { class: "dim" }, `${plural(shown, "alert")}, all shown`));
    } catch (error) {
      if (error.name !== "AbortError" && mine === turn) put(list, trouble(error)), put(foot);
    }
  };
  const changed = () => {
    for (const control of form.elements) if (control.name) asked[control.name] = control.value.trim();
    site.replace("/alerts", asked);
    shown = 0;
    load();
  };
  form.addEventListener("change", changed);
  form.addEventListener("submit", (event) => { event.preventDefault(); changed(); });
  load();
  loadMutes(muted, signal);
  let due = null;
  const again = () => { load(); loadMutes(muted, signal); };
  return {
    heard(name) {
      if (name === "alert" && due === null && !list.contains(document.activeElement)) due = setTimeout(() => { due = null; again(); }, 300);
    },
    again,
  };
}

async function loadMutes(place, signal) {
  let mutes;
  try {
    ({ mutes } = await ask("mutes", {}, signal));
  } catch {
    return;
  }
  if (mutes.length === 0) return void put(place);
  const end = async (id) => {
    try {
      await tell("DELETE", `mutes/${encodeURIComponent(id)}`);
      toast("The mute is ended.");
      loadMutes(place, signal);
    } catch (error) {
      toast(error.message, "critical");
    }
  };
  const about = (mute) => [mute.alert && `alert ${mute.alert}`, ...mute.kinds, ...mute.prefixes, ...mute.asns.map((asn) => `AS${asn}`), ...mute.neighbors]
    .filter(Boolean).join(", ") || "everything";
  put(place, panel("Mutes and maintenance windows", null,
    table("Mutes", [["What"], ["Why"], ["Who"], ["Until"], [""]], mutes.map((mute) => h("tr", null,
      h("td", null, mute.alert ? h("a", { href: `#/alerts/${mute.alert}` }, about(mute)) : about(mute)),
      h("td", null, mute.reason), h("td", null, mute.author),
      h("td", { class: "mono" }, mute.active ? time(mute.until) : `from ${time(mute.until)}`),
      h("td", null, mute.created_at && session.may_command && h("button", { type: "button", class: "small", onclick: () => end(mute.id) }, "End")))))));
}

