// Elements from names and values. Text is only ever set as text: whatever a neighbour sent is shown, never run.

const TOASTS_MAX = 3;
const SVG = "http://www.w3.org/2000/svg";

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "value") element.value = value;
    else if (name === "checked") element.checked = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...flat(children));
  return element;
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== true)
    .map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
}

/** An HTML element: `h("a", { href: "#/" }, "text", child)`. */
export const h = (name, props, ...children) => fill(document.createElement(name), props, children);

/** An SVG element. */
export const s = (name, props, ...children) => fill(document.createElementNS(SVG, name), props, children);

/** Puts children in place of what an element holds. */
export function put(element, ...children) {
  element.replaceChildren(...flat(children));
  return element;
}

/** As `put`, but only when `value` differs from the last time, and never under the reader's fingers. */
export function putIfNew(element, value, make) {
  const text = JSON.stringify(value);
  if (element.shown === text) return;
  if (element.shown !== undefined && element.contains(document.activeElement)) return;
  element.shown = text;
  put(element, make(value));
}

/** A table with a head; `columns` are `[title, class]`, `rows` are elements. */
export function table(label, columns, rows) {
  const heads = columns.map(([title, kind]) => h("th", { scope: "col", class: kind }, title));
  named(rows, columns);
  return h("div", { class: "scroll", role: "region", "aria-label": label, tabindex: 0 },
    h("table", { class: "stack" }, h("thead", null, h("tr", null, heads)), h("tbody", null, rows)));
}

/** Gives cells the titles of their columns: on a narrow screen each row is a card, and cells that say nothing are left out. */
function named(rows, columns) {
  for (const row of rows) {
    [...row.cells].forEach((cell, at) => {
      cell.dataset.label = columns[at]?.[0] ?? "";
      if (cell.textContent === "–" || cell.textContent === "") cell.classList.add("none");
    });
  }
}

/** Adds rows to what `table` made. */
export function addRows(place, columns, rows) {
  named(rows, columns);
  place.querySelector("tbody").append(...rows);
}

/** A labelled control of a form. */
export function field(label, control, hint) {
  return h("label", { class: "field" }, h("span", null, label), control, hint && h("small", null, hint));
}

/** A select of `[value, title]`. */
export function select(name, choices, chosen) {
  return h("select", { name }, choices.map(([value, title]) => h("option", { value, selected: value === (chosen ?? "") }, title)));
}

/** A part of the page with a heading. */
export function panel(title, props, ...children) {
  const { extra, ...rest } = props ?? {};
  return h("section", { ...rest, class: `panel ${rest.class ?? ""}`.trim() }, h("header", null, h("h2", null, title), extra), children);
}

/** Says something for a moment. */
export function toast(text, kind) {
  const [note, place] = [h("p", { class: `toast ${kind ?? ""}` }, text), document.getElementById("toasts")];
  while (place.children.length >= TOASTS_MAX) place.firstChild.remove();
  place.append(note);
  setTimeout(() => note.remove(), 6000);
}

/** A sentence in place of a list. */
export const nothing = (...children) => h("p", { class: "nothing" }, children);

/** What went wrong, in the words of the daemon. */
export const trouble = (error) => h("p", { class: "trouble", role: "alert" }, error.message);
