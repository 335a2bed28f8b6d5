// RPKI: where the data come from, the state of a prefix and origin with what decided it, and what other data would do.
import { ask, called, learnNames } from "./api.js";
import { addRows, field, h, nothing, panel, put, select, table, trouble } from "./dom.js";
import { VALIDITY, brief, count, duration, plural } from "./words.js";

const PAGE = 100;
const COLUMNS = [["Prefix"], ["Neighbor"], ["Origin"], ["ASPA"], ["Import"], ["Best"]];
const FIT = { matches: "matches", other_origin: "is for another AS", too_long: "is too short for this length" };

export function rpki({ main, site, parameters, signal }) {
  const sources = h("div");
  put(main, h("h1", null, "RPKI"), sources, h("div", { class: "columns even" }, check(site, parameters, signal), whatIf(signal)));
  const load = async () => {
    try {
      put(sources, drawSources(await ask("rpki", {}, signal)));
    } catch (error) {
      if (error.name !== "AbortError") put(sources, trouble(error));
    }
  };
  load();
  let beat = 0;
  return { heard(name) { if (name === "status" && (beat += 1) % 5 === 0 && !sources.contains(document.activeElement)) load(); }, again: load };
}

function drawSources(answer) {
  if (answer.sources.length === 0) return panel("Sources", null, nothing("No source is configured, so nothing is checked. A [[rpki.cache]] names one."));
  return panel("Sources", { extra: h("span", { class: "dim" }, `in force: ${count(answer.vrps_v4)} IPv4 and ${count(answer.vrps_v6)} IPv6 VRPs, ${plural(answer.aspas, "ASPA")}`) },
    table("Sources", [["State"], ["Source"], ["Kind"], ["IPv4 VRPs", "number"], ["IPv6 VRPs", "number"], ["ASPAs", "number"], ["Serial", "number"], ["Age", "number"], ["Drops in", "number"], ["Trouble"]],
      answer.sources.map((source) => h("tr", null,
        h("td", null, h("span", { class: `state ${source.state === "synced" ? "up" : "down"}` }, source.state), source.in_use || h("p", { class: "dim" }, "not in use")),
        h("td", null, source.name, h("p", { class: "dim mono clip", title: source.place }, source.place)), h("td", null, source.kind, source.version !== null && ` v${source.version}`),
        [source.vrps_v4, source.vrps_v6, source.aspas].map((value) => h("td", { class: "number" }, count(value))),
        h("td", { class: "number" }, source.serial ?? "–"), h("td", { class: "number" }, duration(source.age_s)), h("td", { class: "number" }, duration(source.expires_in_s)),
        h("td", { class: "last" }, source.last_error ?? "")))));
}

function check(site, parameters, signal) {
  const prefix = h("input", { name: "prefix", class: "mono", required: true, spellcheck: "false", placeholder: "203.0.113.0/24", value: parameters.get("prefix") ?? "" });
  const asn = h("input", { name: "asn", class: "mono", required: true, spellcheck: "false", size: 10, placeholder: "AS64500", value: parameters.get("asn") ?? "" });
  const result = h("div", { "aria-live": "polite" });
  const form = h("form", { class: "filters", "aria-label": "Check a prefix and origin" }, field("Prefix", prefix), field("Origin AS", asn), h("button", { type: "submit", class: "main" }, "Check"));
  const run = async () => {
    try {
      const answer = await ask("rpki/check", { prefix: prefix.value.trim(), asn: asn.value.trim().toUpperCase() }, signal);
      put(result,
        h("p", { class: "winner" }, h("span", { class: "mono" }, `${answer.prefix} by AS${answer.asn}`), " is ", h("b", { class: `valid ${answer.validation}` }, VALIDITY[answer.validation] ?? "not checked")),
        h("p", { class: "why" }, answer.why),
        answer.vrps.length > 0 && table("VRPs that cover it", [["VRP"], ["AS", "number"], [""], ["From"]], answer.vrps.map((vrp) => h("tr", null,
          h("td", { class: "mono" }, `${vrp.prefix}-${vrp.max_length}`), h("td", { class: "number" }, vrp.asn), h("td", null, h("span", { class: `valid ${vrp.fit === "matches" ? "valid" : "invalid"}` }, FIT[vrp.fit])), h("td", null, vrp.sources.join(", "))))));
    } catch (error) {
      if (error.name !== "AbortError") put(result, trouble(error));
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    site.replace("/rpki", { prefix: prefix.value.trim(), asn: asn.value.trim() });
    run();
  });
  if (prefix.value && asn.value) run();
  return panel("Is it valid?", { class: "check" }, form, result);
}

const ACTS = { add_vrp: ["VRP comes", "192.0.2.0/24-25=64500"], remove_vrp: ["VRP goes", "192.0.2.0/24-25=64500"], add_aspa: ["ASPA comes", "64500=64501,64502"], remove_aspa: ["ASPA goes", "64500"] };

function whatIf(signal) {
  const changes = [];
  const chosen = h("ul", { class: "chips", "aria-label": "Changes" });
  const act = select("act", Object.entries(ACTS).map(([value, [title]]) => [value, title]), "add_vrp");
  const what = h("input", { name: "what", class: "mono", spellcheck: "false", placeholder: ACTS.add_vrp[1] });
  const result = h("div", { "aria-live": "polite" });
  const run = h("button", { type: "button", class: "main", disabled: true, dataset: { act: "run" } }, "What if?");
  const form = h("form", { class: "filters", "aria-label": "Changes to try" }, field("Change", act), field("Which", what), h("button", { type: "submit" }, "Add"), run);
  act.addEventListener("change", () => { what.placeholder = ACTS[act.value][1]; });
  const draw = () => {
    run.disabled = changes.length === 0;
    put(chosen, changes.map((change, at) => h("li", { class: change.act.startsWith("add") ? "plus" : "minus" }, `${change.act.startsWith("add") ? "+" : "−"} ${change.what} `,
      h("button", { type: "button", "aria-label": `Leave out ${change.what}`, onclick: () => { changes.splice(at, 1); draw(); } }, "×"))));
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (what.value.trim()) { changes.push({ act: act.value, what: what.value.trim() }); what.value = ""; draw(); }
    what.focus();
  });
  let turn = 0;
  run.addEventListener("click", async () => {
    const mine = ++turn;
    const words = {};
    for (const change of changes) (words[change.act] ??= []).push(change.what);
    const counts = h("div"), list = h("div"), foot = h("div", { class: "foot" });
    put(result, counts, list, foot);
    try {
      // Counted first, page by page, so that no answer is large; then listed as far as somebody reads.
      await learnNames();
      const sum = new Sum();
      for (let next = null; ;) {
        const page = await ask("rpki/what-if", { ...words, limit: 0, next }, signal);
        if (mine !== turn) return;
        sum.add(page.counts);
        next = page.next;
        put(counts, sum.draw(next !== null));
        if (next === null) break;
      }
      if (sum.empty) return;
      const more = async (next) => {
        const page = await ask("rpki/what-if", { ...words, limit: PAGE, next }, signal);
        if (mine !== turn) return;
        const rows = [...page.routes.map(routeRow), ...page.told.map(toldRow)];
        if (list.querySelector("tbody")) addRows(list, COLUMNS, rows);
        else if (rows.length) put(list, table("Routes that would change", COLUMNS, rows));
        put(foot, page.next && h("button", { type: "button", onclick: () => more(page.next) }, rows.length ? "Show more" : "Look further"));
      };
      await more(null);
    } catch (error) {
      if (error.name !== "AbortError" && mine === turn) put(result, trouble(error));
    }
  });
  return panel("What if?", { class: "what-if" }, h("p", { class: "dim" }, "Nothing is put in force: the routes of now are judged on copies."), form, chosen, result);
}

/** Counts of several answers together. */
class Sum {
  numbers = {};
  moves = { validation: new Map(), aspa: new Map() };

  add(counts) {
    for (const [name, value] of Object.entries(counts)) if (typeof value === "number") this.numbers[name] = (this.numbers[name] ?? 0) + value;
    for (const kind of ["validation", "aspa"]) {
      for (const { from, to, routes } of counts[kind]) {
        const key = `${from ?? "not_checked"}>${to ?? "not_checked"}`;
        this.moves[kind].set(key, (this.moves[kind].get(key) ?? 0) + routes);
      }
    }
  }

  get empty() {
    return !this.numbers.routes && !this.numbers.withdrawn && !this.numbers.announced;
  }

  draw(goesOn) {
    if (this.empty) return goesOn ? h("p", { class: "wait" }, "Counting…") : h("p", { class: "winner" }, "No route would change.");
    const line = (name, words, kind) => this.numbers[name] > 0 && h("li", null, h("b", { class: `number ${kind}` }, brief(this.numbers[name])), ` ${words}`);
    const moves = (kind, title) => [...this.moves[kind]].map(([key, value]) => {
      const [from, to] = key.split(">");
      return h("li", null, h("b", { class: "number" }, brief(value)), ` ${title} `, h("span", { class: `valid ${from}` }, VALIDITY[from]), " → ", h("span", { class: `valid ${to}` }, VALIDITY[to]));
    });
    return [
      h("p", { class: "winner" }, h("b", null, plural(this.numbers.routes, "route")), ` would change${goesOn ? ", counting on…" : "."}`),
      h("ul", { class: "counts" }, moves("validation", "origin"), moves("aspa", "ASPA"), line("rejected", "rejected by import policy", "bad"), line("accepted", "accepted by import policy", "good"),
        line("no_longer_best", "best no more", ""), line("becoming_best", "best instead", ""), line("withdrawn", "withdrawn from neighbors", "bad"), line("announced", "announced to neighbors", "good")),
    ];
  }
}

const step = (now, then, kind) => (now === then ? h("span", { class: "dim" }, now) : [h("span", { class: "dim" }, `${now} → `), h("b", { class: kind }, then)]);

function routeRow(route) {
  const { now, then } = route;
  const word = (state) => VALIDITY[state] ?? "not checked";
  const taken = (state) => (state.accepted ? "accepted" : `rejected by ${state.rejected_by}`);
  const lost = (good) => (good ? "good" : "bad");
  return h("tr", null,
    h("td", { class: "mono" }, h("a", { href: `#/routes?prefix=${encodeURIComponent(route.prefix)}` }, route.prefix), h("p", { class: "dim" }, route.as_path)),
    h("td", { class: "name" }, route.neighbor ? called(route.neighbor) : "this router"),
    h("td", null, step(word(now.validation), word(then.validation), `valid ${then.validation}`)), h("td", null, step(word(now.aspa), word(then.aspa), `valid ${then.aspa}`)),
    h("td", null, step(taken(now), taken(then), lost(then.accepted))), h("td", null, step(now.best ? "yes" : "no", then.best ? "yes" : "no", lost(then.best))));
}

const toldRow = (told) => h("tr", null, h("td", { class: "mono" }, told.prefix), h("td", null, called(told.neighbor)), h("td", { colspan: 4 }, told.then ? "would be announced to it" : "would be withdrawn from it"));
