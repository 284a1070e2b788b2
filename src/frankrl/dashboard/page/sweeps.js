// The table of sweeps, above the table of runs; hidden where there is none.

import { ago, arrange, h, setText, written } from "./dom.js";
import { address, onChange, state } from "./state.js";

const COLUMNS = ["sweep", "environment", "objective", "trials", "best value", "last change"];
const WIDE = new Set(["environment", "objective", "last change"]);
const NUMBERS = new Set(["best value"]);
const TIMES_MS = 15_000;
const body = h("tbody");
const lines = new Map();

/** Keep the table up to date. */
export function showSweeps() {
  const section = document.getElementById("sweeps-section");
  const head = h(
    "thead",
    {},
    h(
      "tr",
      {},
      COLUMNS.map((title) => h("th", { scope: "col", class: classOf(title) }, title)),
    ),
  );
  document
    .getElementById("sweeps")
    .replaceChildren(h("table", { class: "sweeps-table" }, head, body));
  const draw = () => {
    section.hidden = !state.sweeps.size;
    for (const id of lines.keys()) if (!state.sweeps.has(id)) lines.delete(id);
    const sweeps = [...state.sweeps.values()].sort((a, b) =>
      a.name.localeCompare(b.name, "en", { numeric: true }),
    );
    arrange(body, sweeps.map(line));
  };
  onChange(draw);
  setInterval(draw, TIMES_MS);
}

/** The row of a sweep. Its elements are reused, so that no click is lost while rows change. */
function line(sweep) {
  if (!lines.has(sweep.id)) {
    const link = h("a", {}, sweep.name);
    const cells = COLUMNS.slice(1).map((title) => h("td", { class: classOf(title) }));
    lines.set(sweep.id, { link, element: h("tr", {}, h("th", { scope: "row" }, link), cells) });
  }
  const { link, element } = lines.get(sweep.id);
  const isShown = state.view === "sweep" && state.sweep === sweep.id;
  link.href = address({ view: "sweep", sweep: sweep.id });
  if (isShown) link.setAttribute("aria-current", "page");
  else link.removeAttribute("aria-current");
  element.className = isShown ? "chosen" : "";
  for (const [number, text] of texts(sweep).entries()) setText(element.cells[number + 1], text);
  return element;
}

function texts(sweep) {
  if (sweep.error) return ["", "", "cannot be read", "", ""];
  return [
    sweep.env_id,
    sweep.objective,
    progressOf(sweep),
    sweep.best_text,
    sweep.written_at ? ago(sweep.written_at) : "",
  ];
}

/** How far a sweep is: "7 of 12: 5 complete, 1 pruned, 1 running". */
export function progressOf({ trials, states }) {
  const known = Object.entries(states).filter(([, count]) => count);
  const ended = known.reduce((sum, [name, count]) => sum + (name === "running" ? 0 : count), 0);
  const each = known.map(([name, count]) => `${written(count)} ${name}`).join(", ");
  return `${written(ended)} of ${written(trials)}${each ? `: ${each}` : ""}`;
}

function classOf(title) {
  return (
    [WIDE.has(title) ? "wide" : "", NUMBERS.has(title) ? "number" : ""].filter(Boolean).join(" ") ||
    null
  );
}
