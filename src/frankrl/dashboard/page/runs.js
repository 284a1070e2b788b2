// The table of runs: filter, sort, select.

import { ago, arrange, h, markSorted, note, setText, sortHead, written } from "./dom.js";
import { choose, onChange, state } from "./state.js";

const COLUMNS = [
  { key: "name", title: "run" },
  { key: "env_id", title: "environment", wide: true },
  { key: "preset", title: "preset", wide: true },
  { key: "seed", title: "seed", wide: true, number: true },
  { key: "state", title: "status" },
  { key: "env_steps", title: "env steps", wide: true, number: true },
  { key: "last_return", title: "training return", number: true },
  { key: "final_return", title: "final evaluation", wide: true, number: true },
  { key: "written_at", title: "last change", wide: true },
];

const TIMES_MS = 15_000;
const header = h(
  "thead",
  {},
  h(
    "tr",
    {},
    h("td", {}, h("span", { class: "unseen" }, "select")),
    COLUMNS.map((column) => sortHead(column.key, column.title, { class: classes(column) })),
  ),
);
const body = h("tbody");
const limit = h("p", { class: "note", hidden: true });
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
    draw();
  });
  place.addEventListener("click", (event) => {
    const key = event.target.closest("button")?.dataset.sort;
    if (!key) return;
    order = { key, down: order.key === key ? !order.down : key !== "name" };
    draw();
  });
  // The column "last change" ages even without news.
  setInterval(draw, TIMES_MS);
}

function fill(place, filter) {
  for (const id of lines.keys()) if (!state.rows.has(id)) lines.delete(id);
  const rows = [...state.rows.values()].filter((row) => words(row).includes(filter)).sort(compare);
  if (!rows.length) {
    place.replaceChildren(nothing());
    return;
  }
  if (!place.contains(body))
    place.replaceChildren(h("table", { class: "runs-table" }, header, body), limit);
  limit.hidden = state.limit === 0;
  limit.textContent = [
    `There are more runs: at most ${written(state.limit)} are shown,`,
    "and not every folder was scanned. Start the dashboard with a subfolder.",
  ].join(" ");
  markSorted(header, order);
  const chosen = new Set(state.selected);
  arrange(
    body,
    rows.map((row) => line(row, chosen.has(row.id))),
  );
}

function nothing() {
  if (!state.loaded) return note("Looking for runs …");
  if (!state.rows.size) {
    return note(
      "There is no run here yet. Start one: ",
      h("code", {}, "frank train CartPole-v1"),
      " It appears here on its own.",
    );
  }
  return note(`No run matches. Clear the filter to see all ${state.rows.size}.`);
}

function words(row) {
  return [row.name, row.env_id, row.preset, `seed ${row.seed}`, stateOf(row)]
    .join(" ")
    .toLowerCase();
}

/** The row of a run. Its elements are reused, so that no click is lost while rows change. */
function line(row, chosen) {
  if (!lines.has(row.id)) {
    const box = h("input", {
      type: "checkbox",
      id: `run-${row.id}`,
      "aria-label": `show ${row.name}`,
      change: () => toggle(row.id, box.checked),
    });
    const element = h(
      "tr",
      {},
      h("td", {}, box),
      COLUMNS.map(({ key, wide, number }) =>
        key === "name"
          ? h(
              "th",
              { scope: "row", class: classes({ wide, number }) },
              h("label", { for: `run-${row.id}` }, row.name),
              h("span", { class: "narrow quiet" }),
            )
          : h("td", { class: classes({ wide, number }) }, h("span")),
      ),
    );
    lines.set(row.id, { box, element });
  }
  const { box, element } = lines.get(row.id);
  box.checked = chosen;
  box.disabled = Boolean(row.error) && !chosen;
  element.className = chosen ? "chosen" : "";
  COLUMNS.forEach((column, number) => {
    const place = element.cells[number + 1].lastChild;
    setText(place, cellText(row, column.key));
    if (column.key === "name") place.className = row.error || row.note ? "trouble" : "narrow quiet";
    if (column.key === "state")
      place.className = row.error ? "" : `state ${row.state.replace(" ", "-")}`;
  });
  return element;
}

function toggle(id, chosen) {
  const others = state.selected.filter((other) => other !== id);
  choose({ selected: chosen ? [...others, id] : others, ...(chosen ? { focus: id } : {}) });
}

/** The text of a cell; below the run's name, what a narrow page has no columns for. */
function cellText(row, key) {
  if (key === "name")
    return row.error || row.note || `${row.env_id} · ${row.preset} · seed ${row.seed}`;
  if (key === "state")
    return row.note ? `${stateOf(row)}; its metrics cannot be read` : stateOf(row);
  if (row.error) return "";
  if (key === "written_at") return row.written_at ? ago(row.written_at) : "";
  if (key === "env_steps") return row.note ? "–" : passed(row);
  if (key === "last_return") return row.last_text ?? "–";
  if (key === "final_return") return row.final_text ?? "–";
  return String(row[key] ?? "");
}

function passed({ env_steps: done, total_env_steps: total, clock }) {
  return `${written(done ?? 0)} of ${written(total)}${clock === "updates" ? " updates" : ""}`;
}

/** The status of a run in words. */
export function stateOf(row) {
  if (row.error) return "cannot be read";
  const solved = row.solved_at == null ? "" : `, solved at ${written(row.solved_at)}`;
  const how = {
    running: "running",
    finished: "finished",
    stopped: "stopped on request",
    pruned: "pruned by its sweep",
    "broken off": "broken off: killed or failed",
    "not started": "not started",
  }[row.state];
  return how + solved;
}

function classes({ wide, number }) {
  return [wide ? "wide" : "", number ? "number" : ""].filter(Boolean).join(" ") || null;
}

function compare(a, b) {
  const [x, y] = [a[order.key] ?? "", b[order.key] ?? ""];
  const sign = order.down ? -1 : 1;
  const natural =
    typeof x === "number" && typeof y === "number"
      ? x - y
      : String(x).localeCompare(String(y), "en", { numeric: true });
  return sign * natural || a.name.localeCompare(b.name, "en", { numeric: true });
}
