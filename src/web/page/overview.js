// One look: what is wrong and why, then sessions, tables, RPKI and how much changes.
import { ask } from "./api.js";
import { h, nothing, panel, put, putIfNew, s, trouble } from "./dom.js";
import { SEVERITIES, STATES, brief, count, duration, plural, time } from "./words.js";
import { alertLine } from "./alerts.js";

const SHOWN = 8;
const OVER = 4;

export function overview({ main, site, signal }) {
  const verdict = h("div", { class: "verdict" });
  const list = h("div", { class: "lines", "aria-busy": "true" });
  const over = h("div");
  const sessions = h("div", { class: "body" });
  const tables = h("div", { class: "body" });
  const rpki = h("div", { class: "body" });
  const rates = h("div", { class: "body" });
  const daemon = h("p", { class: "foot" });
  put(main, h("h1", { class: "unseen" }, "Overview"), verdict,
    h("div", { class: "look" },
      panel("Open alerts", { class: "wide", extra: h("a", { href: "#/alerts" }, "all alerts") }, list, over),
      panel("Sessions", { extra: h("a", { href: "#/neighbors" }, "neighbors") }, sessions),
      panel("Change", null, rates),
      panel("Tables", { extra: h("a", { href: "#/routes" }, "routes") }, tables),
      panel("RPKI", { extra: h("a", { href: "#/rpki" }, "sources") }, rpki)),
    daemon);

  const draw = (status) => {
    putIfNew(verdict, [status.alerts.by_state, status.sessions.established, status.sessions.total, status.daemon.not_ready], () => judge(status));
    putIfNew(sessions, status.sessions, drawSessions);
    putIfNew(tables, [status.tables, status.attribute_sets, status.attribute_octets], () => drawTables(status));
    putIfNew(rpki, status.rpki, drawRpki);
    putIfNew(rates, [status.rates, status.seq], () => drawRates(status));
    const { version, uptime_s: up } = status.daemon;
    put(daemon, `ribwatch ${version} · running for ${duration(up)} · clock ${time(status.now)} UTC`);
  };

  const load = async () => {
    try {
      const [page, past] = await Promise.all([ask("alerts", { state: ["open", "acknowledged"], limit: SHOWN + 1 }, signal), ask("alerts", { state: "resolved", limit: OVER }, signal)]);
      list.removeAttribute("aria-busy");
      const rank = (alert) => (alert.state === "open" ? SEVERITIES.indexOf(alert.severity) : 9);
      const alerts = page.alerts.slice(0, SHOWN).sort((a, b) => rank(a) - rank(b));
      putIfNew(list, alerts, () => (alerts.length
        ? [alerts.map(alertLine), page.alerts.length > SHOWN && h("p", { class: "more" }, h("a", { href: "#/alerts" }, "More alerts are open"))]
        : nothing("Nothing is wrong that ribwatch knows of.")));
      putIfNew(over, past.alerts, () => past.alerts.length > 0 && [h("h2", { class: "over" }, "Over lately"), h("div", { class: "lines" }, past.alerts.map(pastLine))]);
    } catch (error) {
      if (error.name !== "AbortError") put(list, trouble(error));
    }
  };

  let due = null;
  if (site.status) draw(site.status);
  load();
  return {
    heard(name, data) {
      if (name === "status") draw(data);
      if (name === "alert" && due === null) due = setTimeout(() => { due = null; load(); }, 300);
    },
    again: load,
  };
}

const pastLine = (alert) => h("p", { class: "past", dataset: { row: alert.id } },
  h("a", { href: `#/alerts/${alert.id}` }, alert.summary), h("span", { class: "dim" }, `${time(alert.resolved_at)}, after ${duration((new Date(alert.resolved_at) - new Date(alert.first_seen)) / 1000)}`));

/** The sentence on top. */
function judge(status) {
  const open = status.alerts.by_state.open;
  const { established, total } = status.sessions;
  const parts = SEVERITIES.filter((severity) => open[severity]).map((severity) =>
    h("a", { class: `tally ${severity}`, href: `#/alerts?state=open&severity=${severity}` }, h("b", null, count(open[severity])), ` ${severity}`));
  const acked = Object.values(status.alerts.by_state.acknowledged).reduce((sum, value) => sum + value, 0);
  const words = open.critical ? "Somebody should look now." : parts.length ? "Something wants a look." : "All quiet.";
  return [
    h("p", { class: `words ${open.critical ? "critical" : open.warning ? "warning" : "calm"}` }, words),
    h("p", { class: "tallies" }, parts,
      acked > 0 && h("a", { class: "tally", href: "#/alerts?state=acknowledged" }, h("b", null, count(acked)), " acknowledged"),
      h("a", { class: `tally ${established < total ? "warning" : total ? "good" : ""}`, href: "#/neighbors" }, h("b", null, `${count(established)}/${count(total)}`), " sessions up"),
      status.daemon.not_ready.map((why) => h("span", { class: "tally warning" }, why))),
  ];
}

function drawSessions(sessions) {
  const { established, total, down } = sessions;
  const share = total ? (100 * established) / total : 0;
  return [
    h("p", { class: "big" }, h("b", null, count(established)), ` of ${count(total)} up`),
    s("svg", { class: "share", viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" },
      s("rect", { class: "rest", width: 100, height: 4 }), s("rect", { class: "part", width: share, height: 4 })),
    h("ul", { class: "small" }, down.slice(0, 6).map((neighbor) => h("li", null,
      h("a", { href: `#/neighbors/${encodeURIComponent(neighbor.address)}` }, neighbor.name ?? neighbor.address),
      h("span", { class: "state down" }, neighbor.enabled ? STATES[neighbor.state] : "disabled"),
      h("p", { class: "dim clip", title: neighbor.last_error ?? "" }, neighbor.last_error ?? "never up yet")))),
    total - established > 6 && h("p", { class: "more" }, h("a", { href: "#/neighbors?state=down" }, `${count(total - established)} are down`)),
  ];
}

function drawTables(status) {
  return [
    h("table", { class: "figures" },
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "Family"), ["prefixes", "paths", "best"].map((name) => h("th", { scope: "col", class: "number" }, name)))),
      h("tbody", null, status.tables.filter((table) => table.prefixes > 0).map((table) => h("tr", null,
        h("th", { scope: "row" }, table.family), [table.prefixes, table.paths, table.best].map((value) => h("td", { class: "number", title: count(value) }, brief(value))))))),
    h("p", { class: "dim" }, `${plural(status.attribute_sets, "attribute set")} in ${brief(Math.round(status.attribute_octets / 1024))} KiB`),
  ];
}

function drawRpki(rpki) {
  if (rpki.configured === 0) return nothing("No source of RPKI data is configured.");
  return [
    h("p", { class: "big" }, h("b", null, brief(rpki.vrps_v4 + rpki.vrps_v6)), " VRPs", rpki.aspas > 0 && `, ${brief(rpki.aspas)} ASPAs`),
    h("ul", { class: "small" }, rpki.sources.map((source) => h("li", null,
      h("span", null, source.name), h("span", { class: `state ${source.state === "synced" ? "up" : "down"}` }, source.state),
      h("p", { class: "dim clip", title: source.last_error ?? "" }, source.last_error ?? `${source.kind}, ${duration(source.age_s)} old`)))),
  ];
}

function drawRates(status) {
  const { changes_per_s: points, updates_per_s: updates, interval_s: step } = status.rates;
  const last = points.at(-1) ?? 0;
  const most = Math.max(0, ...points);
  return [
    h("p", { class: "big" }, h("b", null, brief(last)), " changes/s"),
    spark(points, 150, `Changes per second over the last ${duration(150 * step)}: now ${count(last)}, at most ${count(most)}`),
    h("p", { class: "dim pair" }, h("span", null, `${brief(updates.at(-1) ?? 0)} updates/s`), h("span", null, `peak ${brief(most)}/s in ${duration(150 * step)}`)),
  ];
}

/** A line over time; the newest point at the right. The scale is a root, so that one burst does not flatten the rest. */
function spark(points, room, label) {
  const top = Math.sqrt(Math.max(1, ...points));
  const place = (value, at) => [((room - points.length + at) * 300) / (room - 1), 46 - (42 * Math.sqrt(value)) / top];
  const line = points.map((value, at) => place(value, at).map((n) => n.toFixed(1)).join(" "));
  const first = points.length ? place(points[0], 0)[0].toFixed(1) : 300;
  return s("svg", { class: "spark", viewBox: "0 0 300 48", preserveAspectRatio: "none", role: "img", "aria-label": label },
    s("path", { class: "ground", d: "M0 46.500H300" }),
    line.length > 1 && s("path", { class: "under", d: `M${line.join("L")}L300 46L${first} 46Z` }),
    line.length > 1 && s("path", { class: "line", d: `M${line.join("L")}` }));
}

