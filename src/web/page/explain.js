// Why a route won: the candidates in order, the step at which each lost, what import did, and the paths as a graph.
import { called } from "./api.js";
import { h, panel, table } from "./dom.js";
import { graph, readPath } from "./graph.js";
import { VALIDITY, plural } from "./words.js";

export function explanation(answer) {
  const { candidates } = answer;
  const best = candidates.find((candidate) => candidate.route.best);
  const name = (route) => (route.neighbor ? called(route.neighbor) : "this router");
  const kind = (candidate) => (candidate.route.best ? "best" : candidate.ineligible ? "rejected" : "other");
  const words = best
    ? [h("b", { class: "mono" }, answer.prefix), " goes through ", h("b", null, name(best.route)), best.route.next_hop && h("span", { class: "dim" }, ` (next hop ${best.route.next_hop})`)]
    : [h("b", { class: "mono" }, answer.prefix), " has no best route"];
  const paths = candidates.map((candidate) => ({ from: name(candidate.route), asns: readPath(candidate.route.as_path ?? ""), kind: kind(candidate) }));
  const rejected = paths.some((path) => path.kind === "rejected");
  return panel("Why", { extra: h("span", { class: "dim" }, `${answer.family}, ${plural(answer.paths, "path")}`) },
    h("p", { class: "winner" }, words),
    table("Candidates", [["#", "number"], ["Neighbor"], ["AS path"], ["Pref", "number"], ["MED", "number"], ["Validation"], ["Why"]],
      candidates.map((candidate) => row(candidate, candidates))),
    answer.paths > candidates.length && h("p", { class: "dim" }, `Only the first ${candidates.length} are shown.`),
    paths.some((path) => path.asns.length) && [graph(paths),
      h("p", { class: "legend" }, best && h("span", { class: "key best" }, "best"), paths.some((path) => path.kind === "other") && h("span", { class: "key other" }, "lost"),
        rejected && h("span", { class: "key rejected" }, "cannot be chosen"))]);
}

function row(candidate, all) {
  const { route } = candidate;
  return h("tr", { class: route.best ? "best" : candidate.ineligible ? "rejected" : "" },
    h("td", { class: "number" }, candidate.rank),
    h("td", { class: "name" }, route.neighbor ? h("a", { href: `#/neighbors/${encodeURIComponent(route.neighbor)}`, title: route.neighbor }, called(route.neighbor)) : "this router"),
    h("td", { class: "mono path" }, route.as_path || "–"),
    h("td", { class: "number" }, route.local_pref ?? "–"), h("td", { class: "number" }, route.med ?? "–"),
    h("td", null, route.validation ? h("span", { class: `valid ${route.validation}` }, VALIDITY[route.validation]) : "–"),
    h("td", { class: "reason" }, reason(candidate, all), route.multipath && h("span", { class: "tag" }, "multipath"),
      candidate.import.length > 0 && h("details", null, h("summary", null, "what import did"), h("ol", null, candidate.import.map((step) => h("li", null, step))))));
}

function reason(candidate, all) {
  if (candidate.route.best) return h("span", { class: "won" }, "best");
  if (candidate.ineligible) return h("span", { class: "cannot" }, `cannot be chosen: ${candidate.ineligible}`);
  if (!candidate.lost_at) return "";
  const other = candidate.lost_to > 1 ? all[candidate.lost_to - 1]?.route.neighbor : null;
  const values = candidate.value !== null && candidate.against !== null ? ` (${candidate.value} against ${candidate.against}${other ? ` of ${called(other)}` : ""})` : "";
  return h("span", null, "lost: ", h("b", null, candidate.lost_at), values);
}
