// The choice of one run among the selected ones.

import { counted, h, note } from "./dom.js";
import { choose, focused, state } from "./state.js";

/** A choice among the selected runs, or a note that says what to do first. */
export function runChoice() {
  if (!state.loaded) return note("Looking for runs …");
  if (!focused()) {
    return note(
      state.rows.size
        ? "Select a run in the table first."
        : "There is no run here yet. Start one with frank train.",
    );
  }
  const options = state.selected
    .filter((id) => state.rows.has(id))
    .map((id) => h("option", { value: id, selected: id === state.focus }, state.rows.get(id).name));
  return h(
    "label",
    {},
    "Run ",
    h("select", { id: "focus", change: (event) => choose({ focus: event.target.value }) }, options),
  );
}

/** A progress bar with a text, which counts in a unit. */
export function progress(text, unit = "env step") {
  const bar = h("progress", { "aria-label": text });
  const words = h("span", {}, `${text} …`);
  return {
    element: h("p", { class: "note", role: "status" }, bar, " ", words),
    report({ done, of, waiting }) {
      if (waiting) words.textContent = `${text}: waiting for its turn …`;
      if (of) {
        bar.max = of;
        bar.value = done;
        words.textContent = `${text}: ${done.toLocaleString("en")} of ${counted(of, unit)}`;
      }
    },
  };
}
