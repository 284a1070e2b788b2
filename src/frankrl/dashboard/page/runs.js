// The table of runs: filter, sort, select.

import { h, note, written } from "./dom.js";
import { choose, onChange, state } from "./state.js";

const COLUMNS = [
  { key: "name", title: "run" },
  { key: "env_id", title: "environment", wide: true },
  { key: "preset", title: "preset", wide: true },
  { key: "seed", title: "seed", wide: true, number: true },
  { key: "state", title: "state" },
  { key: "env_steps", title: "env steps", wide: true, number: true },
  { key: "last_return", title: "last return", number: true },
  { key: "written_at", title: "last change", wide: true },
];

const header = h("thead");
const body = h("tbody");
const lines = new Map();
let order = { key: "written_at", down: true };

/** Keep the table up to date. */
export function showRuns() {
  const place = document.getElementById("runs");
  const filter = document.getElementById("filter");
  const group = document.getElementById("group");
  const draw = () => fill(place, filter.value.trim().toLowerCase());
  filter.addEventListener("input", draw);
  group.addEventListener("change", () => choose({ group: group.checked }));
  document.getElementById("clear").addEventListener("click", () => choose({ selected: [] }));
  onChange(() => {
    group.checked = state.group;
    redraw(place, draw);
  });
  place.addEventListener("click", (event) => {
    const key = event.target.closest("button")?.dataset.sort;
    if (!key) return;
    order = { key, down: order.key === key ? !order.down : key !== "name" };
    redraw(place, draw);
  });
}

/** Draw anew, with the keyboard's focus where it was. */
function redraw(place, draw) {
  const held = place.contains(document.activeElement) ? document.activeElement.id : "";
  draw();
  if (held && document.activeElement.id !== held) document.getElementById(held)?.focus();
}

function fill(place, filter) {
  for (const id of lines.keys()) if (!state.rows.has(id)) lines.delete(id);
  const rows = [...state.rows.values()].filter((row) => words(row).includes(filter)).sort(compare);
  if (!rows.length) {
    place.replaceChildren(nothing());
    return;
  }
  if (!place.contains(body)) place.replaceChildren(h("table", { class: "runs-table" }, header, body));
  header.replaceChildren(h("tr", {}, h("td", {}, h("span", { class: "unseen" }, "select")), COLUMNS.map(head)));
  const wanted = rows.map(line);
  for (const element of [...body.rows]) if (!wanted.includes(element)) element.remove();
  wanted.forEach((element, place) => {
    if (body.rows[place] !== element) body.insertBefore(element, body.rows[place] ?? null);
  });
}

function nothing() {
  if (!state.loaded) return note("Looking for runs …");
  if (!state.rows.size) {
    return note("There is no run here yet. Begin one: ", h("code", {}, "frank train CartPole-v1"),
      " The page shows it by itself.");
  }
  return note(`No run has those letters in it. Clear the filter to see all ${state.rows.size}.`);
}

function words(row) {
  return [row.name, row.env_id, row.preset, `seed ${row.seed}`, stateOf(row)].join(" ").toLowerCase();
}

function head({ key, title, wide, number }) {
  const sorted = order.key === key ? (order.down ? "descending" : "ascending") : "none";
  const arrow = { descending: " ▾", ascending: " ▴", none: "" }[sorted];
  return h("th", { scope: "col", class: classes({ wide, number }), "aria-sort": sorted },
    h("button", { type: "button", "data-sort": key, id: `sort-${key}` }, title, arrow));
}

/** A run's line. Its box stays the same element, so that a click is not lost while rows change. */
function line(row) {
  const chosen = state.selected.includes(row.id);
  if (!lines.has(row.id)) {
    const box = h("input", {
      type: "checkbox", id: `run-${row.id}`, "aria-label": `show ${row.name}`,
      change: () => toggle(row.id, box.checked),
    });
    lines.set(row.id, { box, element: h("tr", {}, h("td", {}, box)) });
  }
  const { box, element } = lines.get(row.id);
  box.checked = chosen;
  box.disabled = Boolean(row.error);
  element.className = chosen ? "chosen" : "";
  while (element.cells.length > 1) element.deleteCell(1);
  element.append(...COLUMNS.map((column) => cell(row, column)));
  return element;
}

function toggle(id, chosen) {
  const others = state.selected.filter((other) => other !== id);
  choose({ selected: chosen ? [...others, id] : others, ...(chosen ? { focus: id } : {}) });
}

function cell(row, { key, wide, number }) {
  const attributes = { class: classes({ wide, number }) };
  if (key === "name") {
    const below = row.error ? row.error : `${row.env_id} · ${row.preset} · seed ${row.seed}`;
    return h("th", { ...attributes, scope: "row" }, h("label", { for: `run-${row.id}` }, row.name),
      h("span", { class: "narrow quiet" }, below));
  }
  if (row.error) return h("td", attributes, key === "state" ? "cannot be read" : "");
  if (key === "state") return h("td", attributes, h("span", { class: `state ${row.state.replace(" ", "-")}` }, stateOf(row)));
  if (key === "written_at") return h("td", attributes, row.written_at ? ago(row.written_at) : "");
  if (key === "env_steps") return h("td", attributes, `${written(row.env_steps ?? 0)} of ${written(row.total_env_steps)}`);
  if (key === "last_return") return h("td", attributes, row.last_return == null ? "–" : row.last_return.toFixed(1));
  return h("td", attributes, String(row[key] ?? ""));
}

/** How a run stands, in words. */
export function stateOf(row) {
  if (row.error) return "cannot be read";
  const solved = row.solved_at == null ? "" : `, solved at ${written(row.solved_at)}`;
  const how = {
    running: "running",
    finished: "finished",
    stopped: "stopped on request",
    "broken off": "broken off: killed, or an error",
    "not begun": "not begun",
  }[row.state];
  return how + solved;
}

function ago(seconds) {
  const passed = Math.max(0, Date.now() / 1000 - seconds);
  if (passed < 10) return "just now";
  if (passed < 120) return `${Math.round(passed)} s ago`;
  if (passed < 7200) return `${Math.round(passed / 60)} min ago`;
  if (passed < 172800) return `${Math.round(passed / 3600)} h ago`;
  return new Date(seconds * 1000).toISOString().slice(0, 10);
}

function classes({ wide, number }) {
  return [wide ? "wide" : "", number ? "number" : ""].filter(Boolean).join(" ") || null;
}

function compare(a, b) {
  const [x, y] = [a[order.key] ?? "", b[order.key] ?? ""];
  const sign = order.down ? -1 : 1;
  const natural = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
  return sign * natural || a.name.localeCompare(b.name, "en", { numeric: true });
}
