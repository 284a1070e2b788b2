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

/** An SVG element with attributes and children. */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes))
    if (value != null) element.setAttribute(name, value);
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

/** A bar between two places on a scale, each from 0 to 1, with a line across at a third. */
export function bar(from, to, mark) {
  const shown =
    from == null
      ? []
      : [
          s("rect", { x: 100 * from, width: 100 * (to - from), y: 1, height: 8 }),
          s("line", { x1: 100 * mark, x2: 100 * mark, y1: 0, y2: 10 }),
        ];
  return s(
    "svg",
    { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    shown,
  );
}

/** A sample of a line for a legend. */
export function lineSample(attributes) {
  return s(
    "svg",
    { viewBox: "0 0 32 8", class: "sample", "aria-hidden": "true" },
    s("line", { x1: 0, x2: 32, y1: 4, y2: 4, ...attributes }),
  );
}

/** Change an element's text if it is another one: screen readers would read the same one again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Put the wanted rows into a table's body, in their order. Only rows out of place move, and the
 * row with the keyboard focus never does.
 */
export function arrange(body, wanted) {
  const kept = new Set(wanted);
  for (const element of [...body.rows]) if (!kept.has(element)) element.remove();
  const held = wanted.find((element) => element.contains(document.activeElement));
  let next = body.firstElementChild;
  for (const element of wanted) {
    while (element === held && next !== held) {
      const passed = next;
      next = next.nextElementSibling;
      passed.remove();
    }
    if (element === next) next = next.nextElementSibling;
    else body.insertBefore(element, next);
  }
}

/** The head of a column that the table can be sorted by. */
export function sortHead(key, title, attributes = {}) {
  return h(
    "th",
    { scope: "col", ...attributes },
    h(
      "button",
      { type: "button", "data-sort": key, id: `sort-${key}` },
      title,
      h("span", { "aria-hidden": "true" }),
    ),
  );
}

/** Mark the column that a table is sorted by. */
export function markSorted(head, order) {
  for (const button of head.querySelectorAll("button[data-sort]")) {
    const sorted =
      order.key === button.dataset.sort ? (order.down ? "descending" : "ascending") : "none";
    button.parentElement.setAttribute("aria-sort", sorted);
    button.querySelector("span").textContent = { descending: " ▾", ascending: " ▴", none: "" }[
      sorted
    ];
  }
}

/** How long ago a moment was, in words. [seconds since 1970] */
export function ago(seconds) {
  const passed = Math.max(0, Date.now() / 1000 - seconds);
  if (passed < 10) return "just now";
  if (passed < 120) return `${Math.round(passed)} s ago`;
  if (passed < 7200) return `${Math.round(passed / 60)} min ago`;
  if (passed < 172800) return `${Math.round(passed / 3600)} h ago`;
  return new Date(seconds * 1000).toISOString().slice(0, 10);
}

/**
 * A table of Q-values: a row for each action, one of them marked. The bars show Q − max Q, which
 * decides: bars of the values themselves would look alike where their differences are small.
 * `short` is what one of them is called where they are no Q-values.
 */
export function qTable(heading, names, values, marked, mark, short = "Q") {
  const known = values.filter((value) => value != null);
  const best = Math.max(...known);
  const scale = known.length ? roundUp(best - Math.min(...known)) : 0;
  const place = (value) => (value == null ? null : scale ? 1 + (value - best) / scale : 1);
  const rows = names.map((name, action) =>
    h(
      "tr",
      { class: action === marked ? "marked" : null },
      h("th", { scope: "row" }, name, action === marked ? h("mark", {}, mark) : null),
      h("td", { class: "number" }, written(values[action])),
      h("td", {}, bar(place(values[action]), 1, 1)),
    ),
  );
  return h(
    "table",
    { class: "values" },
    h("colgroup", {}, h("col", { class: "name" }), h("col", { class: "size" }), h("col")),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, "action"),
        h("th", { scope: "col", class: "number" }, heading),
        h(
          "th",
          { scope: "col", class: "scale" },
          `${short} − max ${short}, ${scale ? `−${scale} … 0` : "all equal"}`,
        ),
      ),
    ),
    h("tbody", {}, rows),
  );
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

/** One tick of the clock of a run, or of what tells of it, in words. */
export function tick(run) {
  return run?.clock === "updates" ? "update" : "env step";
}

/** A paragraph that says why there is nothing to show. */
export function note(...text) {
  return h("p", { class: "note" }, ...text);
}
