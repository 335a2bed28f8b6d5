// Neighbours: the list with what each sent, and one of them in full.
import { ask } from "./api.js";
import { addRows, field, h, nothing, panel, put, s, select, table, trouble } from "./dom.js";
import { STATES, VALIDITY, brief, count, duration, plural, spaced, time } from "./words.js";

const PAGE = 200;
const COLUMNS = [["State"], ["Neighbor"], ["AS", "number"], ["Up for", "number"], ["Received", "number"], ["Accepted", "number"], ["Advertised", "number"], ["What happened last"]];

const sign = (neighbor) => (neighbor.state === "established" ? "up" : neighbor.enabled ? "down" : "off");
const stateWord = (neighbor) => (neighbor.enabled ? STATES[neighbor.state] : "disabled");

export function neighbors({ main, site, parameters, signal }) {
  const asked = { state: parameters.get("state") ?? "", text: parameters.get("text") ?? "" };
  const list = h("div", { class: "results" });
  const foot = h("div", { class: "foot" });
  const form = h("form", { class: "filters", "aria-label": "Filter neighbors" },
    field("State", select("state", [["", "any"], ["established", "established"], ["down", "not established"]], asked.state)),
    field("Name, address or AS", h("input", { name: "text", value: asked.text, type: "search", size: 22, spellcheck: "false" })));
  put(main, h("h1", null, "Neighbors"), form, list, foot);
  let turn = 0, shown = 0;
  const load = async (next) => {
    const mine = ++turn;
    try {
      const page = await ask("neighbors", { ...asked, limit: next ? PAGE : Math.max(PAGE, Math.min(1000, shown)), next }, signal);
      if (mine !== turn) return;
      const rows = page.neighbors.map(row);
      if (next && list.querySelector("tbody")) addRows(list, COLUMNS, rows);
      else if (rows.length) put(list, table("Neighbors", COLUMNS, rows));
      else put(list, nothing(asked.state || asked.text ? "No neighbor is like that." : "No neighbor is configured."));
      shown = list.querySelectorAll("tbody tr").length;
      put(foot, page.next ? h("button", { type: "button", onclick: () => load(page.next) }, "Show more") : shown > 0 && h("p", { class: "dim" }, `${plural(shown, "neighbor")}, all shown`));
    } catch (error) {
      if (error.name !== "AbortError" && mine === turn) put(list, trouble(error));
    }
  };
  const changed = () => {
    for (const control of form.elements) if (control.name) asked[control.name] = control.value.trim();
    site.replace("/neighbors", asked);
    shown = 0;
    load();
  };
  form.addEventListener("change", changed);
  form.addEventListener("submit", (event) => { event.preventDefault(); changed(); });
  load();
  let due = null;
  return {
    heard(name) {
      if (name === "session" && due === null) due = setTimeout(() => { due = null; if (!list.contains(document.activeElement)) load(); }, 300);
    },
    again: () => load(),
  };
}

function row(neighbor) {
  return h("tr", { dataset: { row: neighbor.address } },
    h("td", null, h("span", { class: `state ${sign(neighbor)}` }, stateWord(neighbor))),
    h("td", null, h("a", { href: `#/neighbors/${encodeURIComponent(neighbor.address)}` }, neighbor.name ?? neighbor.address), neighbor.name && h("p", { class: "dim mono" }, neighbor.address)),
    h("td", { class: "number" }, neighbor.remote_asn ?? "–"), h("td", { class: "number" }, duration(neighbor.uptime_s)),
    [neighbor.routes_received, neighbor.routes_accepted, neighbor.routes_advertised].map((value) => h("td", { class: "number", title: count(value) }, brief(value))),
    h("td", { class: "last" }, neighbor.last_error ?? h("span", { class: "dim" }, "nothing")));
}

export function neighbor({ main, word, signal }) {
  const place = h("div");
  put(main, h("p", { class: "crumbs" }, h("a", { href: "#/neighbors" }, "Neighbors")), place);
  let address = null, timer = null;
  const load = async () => {
    try {
      const answer = await ask(`neighbors/${encodeURIComponent(word)}`, {}, signal);
      address = answer.address;
      if (!place.querySelector("details[open]") || !place.contains(document.activeElement)) put(place, whole(answer));
    } catch (error) {
      if (error.name !== "AbortError" && address === null) put(place, h("h1", null, "Neighbor"), trouble(error));
    }
  };
  load();
  return {
    // Counters go on: looked at again with every third status.
    heard(name, data) {
      if (name === "session" && data.address === address) load();
      if (name === "status") { timer = (timer ?? 0) + 1; if (timer % 3 === 0) load(); }
    },
    again: load,
  };
}

function whole(neighbor) {
  const up = neighbor.state === "established";
  const fact = (name, ...value) => [h("dt", null, name), h("dd", null, value)];
  const total = (name) => neighbor.counts.reduce((sum, family) => sum + family[name], 0);
  return [
    h("header", { class: "head" },
      h("p", { class: "eyebrow" }, h("span", { class: `state ${sign(neighbor)}` }, stateWord(neighbor)), up && ` for ${duration(neighbor.uptime_s)}`, neighbor.monitor_only && h("span", { class: "tag" }, "only watched")),
      h("h1", null, neighbor.name ?? neighbor.address),
      h("p", { class: "mono dim" }, neighbor.address, neighbor.port ? ` port ${neighbor.port}` : "", neighbor.remote_asn !== null && ` · AS${neighbor.remote_asn}`, neighbor.router_id && ` · ${neighbor.router_id}`)),
    neighbor.last_error && h("p", { class: up ? "note" : "note trouble" }, h("b", null, up ? "Last trouble: " : "Why: "), neighbor.last_error),
    h("div", { class: "columns" },
      h("div", null,
        panel("Routes", { extra: h("span", null, h("a", { href: `#/routes?table=adj-in&neighbor=${encodeURIComponent(neighbor.address)}` }, "received"), " · ",
          h("a", { href: `#/routes?table=adj-out&neighbor=${encodeURIComponent(neighbor.address)}` }, "advertised")) },
          funnel(total("received"), total("accepted"), total("advertised")),
          neighbor.counts.length === 0 ? nothing("There is nothing of it while its session is down.") : table("Counts by family", [["Family"], ["Received", "number"], ["Accepted", "number"], ["Advertised", "number"], ["Stale", "number"], ["Dropped", "number"], ["Validation"]],
            neighbor.counts.map((family) => h("tr", null, h("th", { scope: "row" }, family.family),
              ["received", "accepted", "advertised", "stale", "dropped"].map((name) => h("td", { class: "number" }, count(family[name]))),
              h("td", null, Object.entries(family.validation).filter(([, value]) => value > 0).map(([state, value]) => h("span", { class: `valid ${state}` }, `${brief(value)} ${VALIDITY[state]} `))))))),
        panel("Messages", null, table("Messages by type", [["Type"], ["Received", "number"], ["Sent", "number"]],
          Object.keys(neighbor.messages.received).map((kind) => h("tr", null, h("th", { scope: "row" }, kind.toUpperCase()),
            h("td", { class: "number" }, count(neighbor.messages.received[kind])), h("td", { class: "number" }, count(neighbor.messages.sent[kind])))))),
        neighbor.fault_counts.length > 0 && panel("Faults in its updates", null, table("Faults", [["Attribute", "number"], ["Outcome"], ["Count", "number"], ["The last one"]],
          neighbor.fault_counts.map((fault) => h("tr", null, h("td", { class: "number" }, fault.attribute ?? "–"), h("td", null, fault.outcome), h("td", { class: "number" }, count(fault.count)), h("td", null, fault.last)))))),
      h("aside", null,
        panel("Session", null, h("dl", { class: "facts" },
          fact("State", spaced(neighbor.state)), neighbor.changed_at && fact("Since", `${time(neighbor.changed_at)} UTC`),
          fact("Went down", plural(neighbor.flaps, "time")), fact("Hold time", neighbor.hold_time_s ? `${neighbor.hold_time_s} s` : "–"),
          fact("Families", neighbor.families.join(", ") || "–"), neighbor.negotiated.length > 0 && fact("Agreed on", h("ul", { class: "plain" }, neighbor.negotiated.map((item) => h("li", null, item)))),
          fact("Import", neighbor.import_policies.join(", ") || "none"), fact("Export", neighbor.export_policies.join(", ") || "none"),
          fact("Waits to be sent", `${count(neighbor.send_queue)} octets`), neighbor.range && fact("From range", neighbor.range))),
        panel("What it did lately", null, neighbor.history.length
          ? h("ol", { class: "history" }, neighbor.history.slice(0, 30).map((change) => h("li", null,
            h("span", { class: "mono" }, time(change.at)), h("span", { class: `state ${change.state === "established" ? "up" : "down"}` }, STATES[change.state]),
            change.flaps > 1 && h("span", { class: "dim" }, ` after ${plural(change.flaps, "flap")}`), change.last_error && h("p", { class: "dim" }, change.last_error))))
          : nothing("Nothing since this daemon began to remember.")))),
  ];
}

/** Received, accepted, advertised, one bar each on one scale. */
function funnel(received, accepted, told) {
  const most = Math.max(1, received, accepted, told);
  return h("dl", { class: "funnel" }, [["Received", received], ["Accepted", accepted], ["Advertised", told]].map(([name, value]) => [
    h("dt", null, name), h("dd", null, s("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
      s("rect", { class: "rest", width: 100, height: 8 }), s("rect", { class: "part", width: (100 * value) / most, height: 8 })), h("span", { class: "number" }, count(value)))]));
}
