// DOM elements without a framework. Text from a run is never parsed as markup.

/** An element with attributes and children; attributes that are functions become listeners. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** A bar from a place on a scale, from 0 to 1, to its right end; the right end means zero. */
function bar(place) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "bar");
  svg.setAttribute("viewBox", "0 0 100 10");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  if (place == null) return svg;
  const rect = document.createElementNS(SVG, "rect");
  rect.setAttribute("x", 100 * place);
  rect.setAttribute("width", 100 * (1 - place));
  rect.setAttribute("y", 1);
  rect.setAttribute("height", 8);
  const line = document.createElementNS(SVG, "line");
  for (const [name, at] of [["x1", 100], ["x2", 100], ["y1", 0], ["y2", 10]]) line.setAttribute(name, at);
  svg.append(rect, line);
  return svg;
}

/**
 * A table of Q-values: a row for each action, one of them marked. The bars show Q − max Q, which
 * decides: bars of the values themselves would look alike where their differences are small.
 */
export function qTable(heading, names, values, marked, mark) {
  const known = values.filter((value) => value != null);
  const best = Math.max(...known);
  const scale = known.length ? roundUp(best - Math.min(...known)) : 0;
  const place = (value) => (value == null ? null : scale ? 1 + (value - best) / scale : 1);
  const rows = names.map((name, action) =>
    h("tr", { class: action === marked ? "marked" : null },
      h("th", { scope: "row" }, name, action === marked ? h("mark", {}, mark) : null),
      h("td", { class: "number" }, written(values[action])),
      h("td", {}, bar(place(values[action])))));
  return h("table", { class: "values" },
    h("colgroup", {}, h("col", { class: "name" }), h("col", { class: "size" }), h("col")),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "action"),
      h("th", { scope: "col", class: "number" }, heading),
      h("th", { scope: "col", class: "scale" }, `Q − max Q, ${scale ? `−${scale} … 0` : "all equal"}`))),
    h("tbody", {}, rows));
}

const STEPS = [1, 1.5, 2, 3, 4, 5, 6, 8, 10];

/** The smallest round number at least as large: 1, 1.5, 2, 3 … × 10ⁿ; 0 for 0. */
function roundUp(value) {
  if (value <= 0) return 0;
  const power = 10 ** Math.floor(Math.log10(value));
  const step = STEPS.find((one) => one * power >= value * (1 - 1e-9)) ?? 10;
  return Number((step * power).toPrecision(3));
}

/**
 * A number to four digits, its whole part always in full; words are unchanged, and null means that
 * the action is not allowed. The rule is that of `figure` in core/figures.py.
 */
export function written(value) {
  if (value == null) return "not allowed";
  if (typeof value === "string") return value;
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e15)) return value.toExponential(3);
  if (Number.isInteger(value) || size >= 1000) return Math.round(value).toLocaleString("en");
  return value.toLocaleString("en", { maximumSignificantDigits: 4 });
}

/** A number and its noun: "1 env step", "2,000 env steps". */
export function counted(count, noun) {
  return `${written(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** A paragraph that says why there is nothing to show. */
export function note(...text) {
  return h("p", { class: "note" }, ...text);
}
