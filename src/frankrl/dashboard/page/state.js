// The state of the page. The user's choice is stored in the address, so it can be bookmarked.

export const VIEWS = { learning: "Learning", watch: "Watch", update: "Open an update", settings: "Settings", warnings: "Warnings" };
export const SMOOTHINGS = { 1: "none", 5: "mean of 5 points", 15: "mean of 15 points", 45: "mean of 45 points" };
export const AXES = { env_steps: "env steps", updates: "updates", seconds: "seconds" };

export const state = {
  rows: new Map(),
  loaded: false,
  selected: [],
  focus: "",
  view: "learning",
  x: "env_steps",
  smoothing: "1",
  log: false,
  group: false,
  limit: 0,
};

const listeners = new Set();

/** Call a function after every change with "rows" or "choice". */
export function onChange(listener) {
  listeners.add(listener);
}

function notify(what) {
  for (const listener of listeners) listener(what);
}

/** Update the rows from a server-sent event. */
export function takeRows({ ids, rows, limit }) {
  state.limit = limit;
  for (const row of rows) state.rows.set(row.id, row);
  const there = new Set(ids);
  for (const id of [...state.rows.keys()]) if (!there.has(id)) state.rows.delete(id);
  const first = !state.loaded;
  state.loaded = true;
  const kept = state.selected.filter((id) => there.has(id));
  if (kept.length !== state.selected.length) choose({ selected: kept });
  else if (first && !state.selected.length) choose({ selected: likely() });
  notify("rows");
}

/** The run to select at first: the one written last. */
function likely() {
  const rows = [...state.rows.values()].filter((row) => !row.error);
  const byTime = rows.sort((a, b) => (b.written_at ?? 0) - (a.written_at ?? 0));
  return byTime.slice(0, 1).map((row) => row.id);
}

/** Change the choice and store it in the address. */
export function choose(change) {
  Object.assign(state, change);
  if (!state.selected.includes(state.focus)) state.focus = state.selected[0] ?? "";
  const words = new URLSearchParams({ view: state.view, x: state.x });
  if (state.selected.length) words.set("runs", state.selected.join(","));
  if (state.focus) words.set("focus", state.focus);
  if (state.group) words.set("group", "1");
  if (state.smoothing !== "1") words.set("smoothing", state.smoothing);
  if (state.log) words.set("log", "1");
  history.replaceState(null, "", `#${words}`);
  notify("choice");
}

/** Read the choice from the address. */
export function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  const view = words.get("view");
  const x = words.get("x");
  state.view = Object.hasOwn(VIEWS, view ?? "") ? view : "learning";
  state.x = Object.hasOwn(AXES, x ?? "") ? x : "env_steps";
  state.selected = (words.get("runs") ?? "").split(",").filter(Boolean);
  state.focus = words.get("focus") ?? state.selected[0] ?? "";
  state.group = words.get("group") === "1";
  const smoothing = words.get("smoothing");
  state.smoothing = Object.hasOwn(SMOOTHINGS, smoothing ?? "") ? smoothing : "1";
  state.log = words.get("log") === "1";
}

/** The row of the focused run. */
export function focused() {
  return state.rows.get(state.focus);
}
