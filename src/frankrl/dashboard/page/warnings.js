// Warnings about a run.

import { ask, newest, work } from "./ask.js";
import { h, note, written } from "./dom.js";
import { runChoice } from "./run_choice.js";
import { focused, state } from "./state.js";

/** The view; returns what to do on a change and on leaving. */
export function warnings(place) {
  const asking = newest();
  const working = newest();
  const choice = h("div", { class: "bar-of-controls" });
  const list = h("div", {});
  const diagnostics = h("div", {});
  place.replaceChildren(h("h2", {}, "Warnings"), choice, list, diagnostics);
  let of = null;
  let shown = "";

  async function update() {
    const row = focused();
    if (of !== row?.id || !choice.firstChild) {
      of = row?.id ?? null;
      asking.stop();
      shown = "";
      list.dataset.payload = "";
      list.replaceChildren();
      diagnose();
    }
    if (
      choice.querySelector("select")?.options.length !== state.selected.length ||
      choice.querySelector("select")?.value !== state.focus
    )
      choice.replaceChildren(runChoice());
    const wanted = `${state.focus} ${row?.change}`;
    if (!row || wanted === shown) return;
    shown = wanted;
    try {
      const payload = await asking.run((signal) => ask(`warnings/${row.id}`, signal));
      // Unchanged content is kept, so that screen readers do not read it again.
      if (!payload || JSON.stringify(payload) === list.dataset.payload) return;
      list.replaceChildren(...listed(payload));
      list.dataset.payload = JSON.stringify(payload);
    } catch (error) {
      list.dataset.payload = "";
      list.replaceChildren(note(error.message));
    }
  }

  async function diagnose() {
    working.stop();
    diagnostics.replaceChildren();
    if (!focused()) return;
    diagnostics.replaceChildren(note("Diagnosing the newest checkpoint …"));
    try {
      const payload = await working.run((signal) =>
        work(`diagnostics/${state.focus}`, signal, () => {}),
      );
      if (payload) diagnostics.replaceChildren(...diagnosed(payload.result));
    } catch (error) {
      diagnostics.replaceChildren(h("h3", {}, "Newest checkpoint"), note(error.message));
    }
  }

  return {
    update,
    leave() {
      asking.stop();
      working.stop();
    },
  };
}

function listed({ warnings, checked }) {
  const none = note("No warnings from the metrics and settings.");
  return [
    h("h3", {}, "Metrics and settings"),
    ...(warnings.length ? warnings.map(shown) : [none]),
    h("p", { class: "quiet" }, `Checked: ${checked.join("; ")}.`),
  ];
}

function diagnosed(diagnostics) {
  const layers = diagnostics.widths.map(
    (width, layer) => `${diagnostics.dead_units[layer]} of ${width}`,
  );
  const none_counted = diagnostics.remembers
    ? "dead units are not counted in a network with memory"
    : "dead units are counted only with relu";
  const units = layers.length ? `dead units by hidden layer: ${layers.join(", ")}` : none_counted;
  const { env_steps, transitions, episodes, largest_episode } = diagnostics;
  const summary = [
    `Env step ${written(env_steps)}: ${units};`,
    `the replay buffer holds ${written(transitions)} transitions`,
    `from ${written(episodes)} episodes,`,
    `at most ${written(largest_episode)} from one.`,
  ].join(" ");
  const none = note("No warnings from the checkpoint.");
  return [
    h("h3", {}, "Newest checkpoint"),
    h("p", {}, summary),
    ...(diagnostics.warnings.length ? diagnostics.warnings.map(shown) : [none]),
  ];
}

function shown({ title, evidence, advice, docs }) {
  return h(
    "article",
    { class: "warning" },
    h("h4", {}, h("span", { "aria-hidden": "true" }, "▲ "), title),
    h("p", {}, evidence),
    h("p", {}, advice),
    h(
      "p",
      {},
      h(
        "a",
        {
          href: docs,
          target: "_blank",
          rel: "noopener",
          "aria-label": `What this means: ${title} (opens another page)`,
        },
        "What this means",
      ),
    ),
  );
}
