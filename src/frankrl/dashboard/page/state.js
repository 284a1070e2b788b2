// The state of the page. The user's choice is stored in the address, so it can be bookmarked.

export const VIEWS = {
  learning: "Learning",
  watch: "Watch",
  update: "Open an update",
  settings: "Settings",
  warnings: "Warnings",
  sweep: "Sweep",
  jobs: "Jobs",
};
export const SMOOTHINGS = {
  1: "none",
  5: "mean of 5 points",
  15: "mean of 15 points",
  45: "mean of 45 points",
};
export const AXES = { env_steps: "env steps", updates: "updates", seconds: "seconds" };

export const state = {
  rows: new Map(),
  sweeps: new Map(),
  jobs: 0,
  loaded: false,
  selected: [],
  focus: "",
  sweep: "",
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

/** Update the rows and the sweeps from a server-sent event; sweeps are null if none changed. */
export function takeRows({ ids, rows, limit, jobs, sweeps }) {
  state.limit = limit;
  state.jobs = jobs;
  if (sweeps) takeSweeps(sweeps);
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

function takeSweeps(sweeps) {
  state.sweeps = new Map(sweeps.map((sweep) => [sweep.id, sweep]));
  if (!state.sweeps.has(state.sweep)) {
    const byTime = [...sweeps].sort((a, b) => (b.written_at ?? 0) - (a.written_at ?? 0));
    state.sweep = byTime[0]?.id ?? "";
  }
  // A sweep's own folder is shown: its page comes first, unless the address says otherwise.
  if (!state.loaded && sweeps.some((sweep) => sweep.is_root) && !location.hash)
    state.view = "sweep";
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
  history.replaceState(null, "", address());
  notify("choice");
}

/** The address of the choice, or of one that differs from it. */
export function address(change = {}) {
  const choice = { ...state, ...change };
  const words = new URLSearchParams({ view: choice.view, x: choice.x });
  if (choice.selected.length) words.set("runs", choice.selected.join(","));
  if (choice.focus) words.set("focus", choice.focus);
  if (choice.sweep) words.set("sweep", choice.sweep);
  if (choice.group) words.set("group", "1");
  if (choice.smoothing !== "1") words.set("smoothing", choice.smoothing);
  if (choice.log) words.set("log", "1");
  return `#${words}`;
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
  state.sweep = words.get("sweep") ?? state.sweep;
  state.group = words.get("group") === "1";
  const smoothing = words.get("smoothing");
  state.smoothing = Object.hasOwn(SMOOTHINGS, smoothing ?? "") ? smoothing : "1";
  state.log = words.get("log") === "1";
}

/** The row of the focused run. */
export function focused() {
  return state.rows.get(state.focus);
}
