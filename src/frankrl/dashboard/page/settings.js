// The settings of the selected runs side by side, and in what they differ.

import { ask, newest } from "./ask.js";
import { h, note } from "./dom.js";
import { state } from "./state.js";

/** The view; returns what to do on a change and on leaving. */
export function settings(place) {
  const asking = newest();
  let of = null;
  let payload = null;
  const all = h("input", { type: "checkbox", id: "all-settings", change: () => draw() });
  const choice = h("label", { class: "check" }, all, " also settings that are equal");
  const content = h("div", {});
  place.replaceChildren(h("h2", {}, "Settings"), choice, content);

  async function update() {
    choice.hidden = state.selected.length < 2;
    const wanted = state.selected.join(",");
    if (of === wanted) return;
    of = wanted;
    payload = null;
    if (!wanted) {
      content.replaceChildren(
        note("Select one or several runs in the table to see their settings."),
      );
      return;
    }
    try {
      payload = await asking.run((signal) => ask(`settings?runs=${wanted}`, signal));
      draw();
    } catch (error) {
      of = null;
      content.replaceChildren(note(error.message));
    }
  }

  function draw() {
    if (!payload) return;
    const several = payload.runs.length > 1;
    const rows = payload.rows.filter((row) => row.differs || !several || all.checked);
    content.replaceChildren(
      rows.length ? table(payload.runs, rows, all.checked) : note("These runs differ in nothing."),
    );
  }

  return { update, leave: () => asking.stop() };
}

function table(runs, rows, marked) {
  return h(
    "div",
    {
      class: "scrolling",
      role: "region",
      tabindex: 0,
      "aria-label": "Settings of the selected runs",
    },
    h(
      "table",
      { class: "settings-table" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, "setting"),
          runs.map((name) => h("th", { scope: "col" }, name)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            { class: marked && row.differs ? "marked" : null },
            h("th", { scope: "row", title: row.meaning || null }, `${row.group}.${row.name}`),
            row.values.map((value) => h("td", {}, value ?? "–")),
          ),
        ),
      ),
    ),
  );
}
