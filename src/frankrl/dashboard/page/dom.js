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

/** A bar from zero to a value, on a scale [low, high] that contains zero. */
export function bar(value, [low, high]) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "bar");
  svg.setAttribute("viewBox", "0 0 100 10");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  if (value == null) return svg;
  const width = high - low || 1;
  const zero = (-low / width) * 100;
  const end = ((value - low) / width) * 100;
  const rect = document.createElementNS(SVG, "rect");
  rect.setAttribute("x", Math.min(zero, end));
  rect.setAttribute("width", Math.abs(end - zero));
  rect.setAttribute("y", 1);
  rect.setAttribute("height", 8);
  const line = document.createElementNS(SVG, "line");
  for (const [name, at] of [["x1", zero], ["x2", zero], ["y1", 0], ["y2", 10]]) line.setAttribute(name, at);
  svg.append(rect, line);
  return svg;
}

/** A table of Q-values: a row and a bar for each action, one of them marked. */
export function qTable(heading, names, values, scale, marked, mark) {
  const rows = names.map((name, action) =>
    h("tr", { class: action === marked ? "marked" : null },
      h("th", { scope: "row" }, name, action === marked ? h("mark", {}, mark) : null),
      h("td", { class: "number" }, written(values[action])),
      h("td", {}, bar(values[action], scale))));
  return h("table", { class: "values" },
    h("colgroup", {}, h("col", { class: "name" }), h("col", { class: "size" }), h("col")),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "action"),
      h("th", { scope: "col", colspan: 2 }, heading))),
    h("tbody", {}, rows));
}

/** The ends of a scale that contains zero and all these values. */
export function scaleOf(values) {
  return values.reduce(([low, high], value) => (value == null ? [low, high] : [Math.min(low, value), Math.max(high, value)]), [0, 0]);
}

/** A number to four digits, a whole number in full; null means that the action is not allowed. */
export function written(value) {
  if (value == null) return "not allowed";
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) return value.toExponential(3);
  return String(Number(value.toPrecision(4)));
}

/** A paragraph that says why there is nothing to show. */
export function note(...text) {
  return h("p", { class: "note" }, ...text);
}
