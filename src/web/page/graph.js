// AS paths as a graph: this router at the left, origins at the right, one layer per step. The layout is our own: layers by the
// longest way from the left, order within a layer by the middle of what a node is joined to, long edges bent through their layers.
import { h, s } from "./dom.js";

const PATHS_MAX = 40;
const HEIGHT = 26, GAP_X = 38, GAP_Y = 16, MARGIN = 8;
/** Of a character in a box, and of the room around the text. */
const LETTER = 7.3, AROUND = 18, NAME_MAX = 14;
/** How much a graph may shrink. */
const SMALLEST = 0.68;

/** The ASes of a path as printed; an AS_SET is one of them. */
export const readPath = (text) => text.match(/\{[^}]*\}|\([^)]*\)|\[[^\]]*\]|\d+/g) ?? [];

/**
 * `paths` are `{ from, asns, kind }`; kind is `best`, `other`, `rejected`, `observed` or `before`. `good` and `bad` are ASNs to point out.
 */
export function graph(paths, { good = [], bad = [], self = "this router" } = {}) {
  const shown = paths.slice(0, PATHS_MAX);
  const net = join(shown, self);
  layer(net);
  const layers = arrange(net);
  return h("figure", { class: "graph" },
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "AS graph" }, draw(net, layers, shown, new Set(good.map(String)), new Set(bad.map(String)))),
    paths.length > PATHS_MAX && h("figcaption", { class: "dim" }, `${PATHS_MAX} of ${paths.length} paths are drawn`));
}

/** Nodes and edges of all paths; an AS that is prepended is one node that says how often. */
function join(paths, self) {
  const nodes = new Map([["us", { id: "us", name: self, times: 1, out: new Set() }]]);
  const edges = new Map();
  const rank = ["best", "observed", "before", "other", "rejected"];
  for (const { asns, kind } of paths) {
    let last = "us";
    const seen = new Set(["us"]);
    for (let at = 0; at < asns.length; at += 1) {
      let times = 1;
      while (asns[at + times] === asns[at]) times += 1;
      at += times - 1;
      const id = asns[at];
      // A path that comes back to an AS goes on from there; a graph with layers has no way back.
      if (seen.has(id)) { last = id; continue; }
      seen.add(id);
      if (!nodes.has(id)) nodes.set(id, { id, name: /^\d+$/.test(id) ? `AS${id}` : id, times: 1, out: new Set() });
      nodes.get(id).times = Math.max(nodes.get(id).times, times);
      const key = `${last}>${id}`;
      const known = edges.get(key);
      if (!known) edges.set(key, { from: last, to: id, kind, count: 1 });
      else { known.count += 1; if (rank.indexOf(kind) < rank.indexOf(known.kind)) known.kind = kind; }
      last = id;
    }
    if (last !== "us") nodes.get(last).origin = true;
  }
  for (const edge of [...edges.values()]) {
    if (reaches(nodes, edge.to, edge.from)) edge.back = true;
    else nodes.get(edge.from).out.add(edge.to);
  }
  return { nodes, edges: [...edges.values()] };
}

function reaches(nodes, from, to) {
  const waiting = [from], seen = new Set();
  while (waiting.length) {
    const id = waiting.pop();
    if (id === to) return true;
    if (seen.has(id)) continue;
    seen.add(id);
    waiting.push(...nodes.get(id).out);
  }
  return false;
}

/** The layer of a node is its longest way from the left; origins that lead nowhere stand in the last one. */
function layer({ nodes }) {
  for (const node of nodes.values()) node.layer = 0;
  for (let round = 0, moved = true; moved && round <= nodes.size; round += 1) {
    moved = false;
    for (const node of nodes.values()) {
      for (const to of node.out) {
        const next = nodes.get(to);
        if (next.layer <= node.layer) { next.layer = node.layer + 1; moved = true; }
      }
    }
  }
  const last = Math.max(...[...nodes.values()].map((node) => node.layer));
  for (const node of nodes.values()) if (node.origin && node.out.size === 0) node.layer = last;
}

/** Layers from left to right; edges over several layers get a bend in each. */
function arrange({ nodes, edges }) {
  const layers = [];
  const place = (item) => (layers[item.layer] ??= []).push(item);
  for (const node of nodes.values()) { node.near = []; place(node); }
  for (const edge of edges) {
    const [from, to] = [nodes.get(edge.from), nodes.get(edge.to)];
    edge.way = [from];
    for (let at = from.layer + 1; at < to.layer; at += 1) {
      const bend = { bend: true, layer: at, near: [] };
      edge.way.push(bend);
      place(bend);
    }
    edge.way.push(to);
    for (let at = 1; at < edge.way.length; at += 1) { edge.way[at].near.push(edge.way[at - 1]); edge.way[at - 1].near.push(edge.way[at]); }
  }
  const number = () => layers.forEach((list) => list.forEach((item, at) => { item.at = at - (list.length - 1) / 2; }));
  number();
  for (let round = 0; round < 8; round += 1) {
    const order = round % 2 === 0 ? layers : [...layers].reverse();
    for (const list of order) {
      for (const item of list) {
        const side = item.near.filter((other) => (round % 2 === 0 ? other.layer < item.layer : other.layer > item.layer));
        item.want = side.length ? side.reduce((sum, other) => sum + other.at, 0) / side.length : item.at;
      }
      list.sort((a, b) => a.want - b.want);
      number();
    }
  }
  return layers;
}

function draw({ nodes, edges }, layers, paths, good, bad) {
  const clip = (name) => (name.length > NAME_MAX ? `${name.slice(0, NAME_MAX - 1)}…` : name);
  const WIDTH = Math.round(AROUND + LETTER * Math.max(...[...nodes.values()].map((node) => clip(node.name).length - (node.id === "us" ? 2 : 0))));
  const rows = Math.max(...layers.map((list) => list.length));
  const width = layers.length * (WIDTH + GAP_X) - GAP_X + 2 * MARGIN;
  const height = rows * (HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN;
  const x = (item) => MARGIN + item.layer * (WIDTH + GAP_X);
  const y = (item) => height / 2 + item.at * (HEIGHT + GAP_Y);
  const curve = (way) => {
    let [lastX, lastY] = [x(way[0]) + WIDTH, y(way[0])];
    let d = `M${lastX} ${lastY}`;
    for (const item of way.slice(1)) {
      const [nextX, nextY] = [x(item), y(item)];
      const middle = (lastX + nextX) / 2;
      d += `C${middle} ${lastY} ${middle} ${nextY} ${nextX} ${nextY}`;
      if (item.bend) d += `H${nextX + WIDTH}`;
      [lastX, lastY] = [nextX + (item.bend ? WIDTH : 0), nextY];
    }
    return d;
  };
  const order = ["rejected", "other", "before", "observed", "best"];
  const lines = [...edges].sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind)).map((edge) =>
    s("path", { class: `edge ${edge.kind}`, d: curve(edge.way) }));
  const boxes = [...nodes.values()].map((node) => {
    const kind = node.id === "us" ? "us" : good.has(node.id) ? "good" : bad.has(node.id) ? "bad" : node.origin ? "origin" : "";
    return s("g", { class: `node ${kind}`, transform: `translate(${x(node)} ${y(node) - HEIGHT / 2})` },
      s("title", null, node.times > 1 ? `${node.name}, ${node.times} times in a row` : node.name),
      s("rect", { width: WIDTH, height: HEIGHT, rx: 5 }),
      s("text", { x: WIDTH / 2, y: HEIGHT / 2 + 4.2 }, clip(node.name)),
      node.times > 1 && s("text", { class: "times", x: WIDTH - 3, y: -3 }, `×${node.times}`));
  });
  const said = paths.map((path) => `${path.from}: ${path.asns.join(" ")} (${path.kind})`).join("; ");
  const picture = s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `Paths: ${said}` }, lines, boxes);
  // A little smaller where there is little room; smaller than that it is scrolled, since nobody could read it.
  picture.style.width = `min(100%, ${width}px)`;
  picture.style.minWidth = `${Math.round(width * SMALLEST)}px`;
  return picture;
}
