// The looking glass: one line for a prefix or address, every filter of `ribwatch rib`, pages of the daemon, and why a route won.
import { allNames, ask, called, learnNames } from "./api.js";
import { addRows, field, h, nothing, put, select, table, trouble } from "./dom.js";
import { explanation } from "./explain.js";
import { timeline } from "./timeline.js";
import { VALIDITY, duration, plural } from "./words.js";

const PAGE = 100;
const NAMES = ["prefix", "match", "table", "neighbor", "family", "origin", "as_path", "community", "rd", "validation", "aspa"];
const RARE = ["family", "as_path", "community", "rd", "validation", "aspa"];
const FAMILIES = ["ipv4-unicast", "ipv6-unicast", "ipv4-multicast", "ipv6-multicast", "ipv4-labeled-unicast", "ipv6-labeled-unicast", "vpnv4-unicast",
  "vpnv6-unicast", "l2vpn-evpn", "ipv4-flowspec", "ipv6-flowspec", "vpnv4-flowspec", "vpnv6-flowspec", "bgp-ls", "ipv4-sr-policy", "ipv6-sr-policy", "ipv4-rtc"];
const COLUMNS = [[""], ["Prefix"], ["Neighbor"], ["AS path"], ["Next hop"], ["Pref", "number"], ["MED", "number"], ["Validation"], ["Age", "number"]];

export function routes({ main, site, parameters, signal }) {
  const asked = Object.fromEntries(NAMES.map((name) => [name, name === "community" ? parameters.getAll(name).join(" ") : parameters.get(name) ?? ""]));
  const input = (name, props) => h("input", { name, value: asked[name], spellcheck: "false", autocapitalize: "off", ...props });
  const why = h("section", { class: "explain", "aria-live": "polite" });
  const list = h("div", { class: "results" });
  const foot = h("div", { class: "foot" });
  const form = h("form", { class: "glass", "aria-label": "Ask for routes", autocomplete: "off" },
    h("div", { class: "ask" },
      h("label", { class: "unseen", for: "glass-prefix" }, "Prefix or address"),
      input("prefix", { id: "glass-prefix", type: "search", class: "mono", placeholder: "prefix or address; empty: every route", enterkeyhint: "search" }),
      h("button", { type: "submit", class: "main" }, "Show")),
    h("div", { class: "filters" },
      field("Match", select("match", [["", "as written"], ["exact", "exact"], ["longest", "longest"], ["longer", "it and inside"], ["shorter", "it and around"]], asked.match)),
      field("Table", select("table", [["", "Loc-RIB (best)"], ["adj-in", "Adj-RIB-In (all received)"], ["adj-out", "Adj-RIB-Out (advertised)"]], asked.table)),
      field("Neighbor", input("neighbor", { size: 12, list: "names" })), h("datalist", { id: "names" }),
      field("Origin AS", input("origin", { size: 8 }))),
    h("details", { class: "more", open: RARE.some((name) => asked[name]) }, h("summary", null, "More filters"),
      h("div", { class: "filters" },
        field("Family", h("input", { name: "family", value: asked.family, size: 14, list: "families", placeholder: "any" })), h("datalist", { id: "families" }, FAMILIES.map((name) => h("option", { value: name }))),
        field("AS path", input("as_path", { size: 16, class: "mono", placeholder: "_64500_" })),
        field("Communities", input("community", { size: 16, class: "mono", placeholder: "64500:1 no-export" })),
        field("Origin validation", select("validation", [["", "any"], ["valid", "valid"], ["invalid", "invalid"], ["not_found", "not found"]], asked.validation)),
        field("ASPA", select("aspa", [["", "any"], ["valid", "valid"], ["invalid", "invalid"], ["unknown", "unknown"]], asked.aspa)),
        field("Route distinguisher", input("rd", { size: 12, class: "mono" })))));
  put(main, h("h1", null, "Routes"), form, why, list, foot);
  learnNames().then(() => put(form.querySelector("#names"), allNames().map((name) => h("option", { value: name }))));

  let turn = 0, shown = 0;
  const question = () => ({ ...asked, origin: asked.origin.replace(/^as/i, ""), community: asked.community.split(/[\s,]+/).filter(Boolean) });
  const load = async (next) => {
    const mine = ++turn;
    list.setAttribute("aria-busy", "true");
    try {
      const [page] = await Promise.all([ask("rib", { ...question(), limit: PAGE, next }, signal), learnNames()]);
      if (mine !== turn) return;
      if (!next) { shown = 0; put(list); }
      add(page);
      put(foot, page.next
        ? [h("button", { type: "button", onclick: () => load(page.next) }, shown === 0 ? "Look further" : "Show more"),
          h("p", { class: "dim" }, shown === 0 ? "Nothing fits in the part of the table that was read." : `${plural(shown, "route")} shown, the table goes on`)]
        : shown > 0 && h("p", { class: "dim" }, `${plural(shown, "route")}, all shown`));
      if (!page.next && shown === 0) put(list, nothing("No route is like that.", asked.table === "" && h("span", null, " Routes that were received and not chosen are in Adj-RIB-In.")));
    } catch (error) {
      if (error.name !== "AbortError" && mine === turn) { put(list, trouble(error)); put(foot); }
    } finally {
      list.removeAttribute("aria-busy");
    }
  };
  const add = (page) => {
    shown += page.routes.length;
    if (page.routes.length === 0) return;
    const rows = page.routes.map((route) => row(route));
    if (list.querySelector("tbody")) addRows(list, COLUMNS, rows);
    else put(list, table("Routes", COLUMNS, rows));
  };
  const open = async () => {
    const single = asked.prefix && !["longer", "shorter"].includes(asked.match);
    if (!single) return void put(why);
    try {
      const [answer] = await Promise.all([ask("explain", { prefix: asked.prefix, family: asked.family }, signal), learnNames()]);
      put(why, explanation(answer), /unicast$/.test(answer.family) && timeline(answer, signal));
    } catch (error) {
      if (error.name === "AbortError") return;
      // Nobody has it now; perhaps somebody had. Everything else the list below says.
      const gone = error.status === 404 && asked.prefix.includes("/");
      put(why, gone && timeline({ prefix: asked.prefix, family: asked.family, candidates: [] }, signal));
    }
  };
  const submit = () => {
    for (const control of form.elements) if (NAMES.includes(control.name)) asked[control.name] = control.value.trim();
    site.replace("/routes", { ...asked, community: asked.community.split(/[\s,]+/).filter(Boolean) });
    load();
    open();
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); submit(); });
  form.addEventListener("change", (event) => { if (event.target.matches("select")) submit(); });
  load();
  open();
  return { again: () => { load(); open(); } };
}

/** A route as a row; its communities stand below its path. */
function row(route) {
  const words = [...route.communities, ...route.large_communities, ...route.ext_communities];
  const parameters = new URLSearchParams({ prefix: route.prefix, ...(/unicast$/.test(route.family) ? {} : { family: route.family }) });
  return h("tr", { dataset: { row: route.prefix }, class: route.rejected_by ? "rejected" : "" },
    h("td", { class: "sign", title: route.best ? "best" : route.rejected_by ? `rejected by ${route.rejected_by}` : "" }, route.best ? "▸" : route.rejected_by ? "×" : "", h("span", { class: "unseen" }, route.best ? "best" : route.rejected_by ? "rejected" : "")),
    h("td", { class: "mono" }, h("a", { href: `#/routes?${parameters}` }, route.prefix), route.path_id > 0 && h("span", { class: "dim" }, ` #${route.path_id}`)),
    h("td", { class: "name" }, route.neighbor ? h("a", { href: `#/neighbors/${encodeURIComponent(route.neighbor)}`, title: route.neighbor }, called(route.neighbor)) : h("span", { class: "dim" }, "this router"), route.stale && h("span", { class: "tag" }, "stale")),
    h("td", { class: "path" }, h("span", { class: "mono" }, route.as_path || "–"), words.length > 0 && h("p", { class: "communities mono" }, words.join("  ")),
      route.rejected_by && h("p", { class: "dim small-words" }, `rejected by ${route.rejected_by}`)),
    h("td", { class: "mono" }, route.next_hop ?? "–"),
    h("td", { class: "number" }, route.local_pref ?? "–"),
    h("td", { class: "number" }, route.med ?? "–"),
    h("td", null, route.validation ? h("span", { class: `valid ${route.validation}` }, VALIDITY[route.validation]) : "–", route.aspa && route.aspa !== "unknown" && h("span", { class: `valid ${route.aspa}` }, ` ASPA ${route.aspa}`)),
    h("td", { class: "number" }, duration(route.age_s)));
}
