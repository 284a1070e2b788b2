// A sweep: its trials, what they say of each setting, and its definition.

import { ask, newest } from "./ask.js";
import { bar, counted, h, note, written } from "./dom.js";
import { parallel } from "./parallel.js";
import { bodyColour, DARK, LIGHT, panelLayout } from "./plot.js";
import { state } from "./state.js";
import { progressOf } from "./sweeps.js";
import { trialTable } from "./trials.js";

const STATES = ["complete", "pruned", "failed", "running"];
const SYMBOLS = {
  complete: "circle",
  pruned: "x",
  failed: "triangle-down",
  running: "diamond-open",
};
const AGAIN_MS = 5_000;

/** The view; returns what to do on a change and on leaving. */
export function sweep(place) {
  const asking = newest();
  const hidden = new Set();
  let payload = null;
  let shown = "";
  let drawing = Promise.resolve();
  let left = false;
  let again = 0;
  const title = h("h2", {}, "Sweep");
  const message = h("div", {});
  const filter = filterOf(hidden, () => draw());
  const coordinates = panel(
    "Trials",
    "Each line is a trial: its settings, and its value on the last axis.",
    "wide-panel",
  );
  const best = panel(
    "Best so far",
    "Values by trial, and the best value of all complete trials up to each.",
  );
  const importance = panel(
    "Importance",
    "Share of the variance of the trials' ranks that a setting explains by itself: ε² of the " +
      "Kruskal–Wallis test. The line across is what a setting without an effect stays below in " +
      "19 of 20 sweeps.",
  );
  const table = panel(
    "Table of trials",
    "The number of a trial marks its line above.",
    "wide-panel",
  );
  const definition = panel("Definition", "", "wide-panel");
  const plot = h("div", {
    class: "plot",
    id: "plot-best",
    role: "img",
    "aria-label": "Best value so far",
  });
  best.append(plot);
  const body = h("div", { class: "panels" }, coordinates, importance, best, table, definition);
  place.replaceChildren(title, message, filter, body);
  const lines = parallel(coordinates, pick);
  const rows = trialTable(table, pick);
  const shares = h("div", {});
  importance.append(shares);
  const facts = h("div", {});
  definition.append(facts);
  const theme = matchMedia("(prefers-color-scheme: dark)");
  const recolour = () => {
    if (payload) drawBest();
  };
  theme.addEventListener("change", recolour);
  let picked = null;

  function pick(number) {
    picked = picked === number ? null : number;
    lines.pick(picked);
    rows.pick(picked);
  }

  async function update() {
    const summary = state.sweeps.get(state.sweep);
    const isReadable = summary && !summary.error;
    title.textContent = summary ? `Sweep ${summary.name}` : "Sweep";
    filter.hidden = body.hidden = !isReadable;
    if (!isReadable) {
      shown = "";
      message.replaceChildren(
        note(
          summary?.error ??
            (state.loaded
              ? "There is no sweep here. Start one with frank sweep."
              : "Looking for sweeps …"),
        ),
      );
      return;
    }
    const wanted = `${summary.id} ${summary.change}`;
    if (wanted === shown) {
      // The links follow the table of runs.
      if (payload?.id === summary.id) rows.draw({ payload, hidden });
      return;
    }
    shown = wanted;
    clearTimeout(again);
    try {
      const answer = await asking.run((signal) => ask(`sweep/${summary.id}`, signal));
      if (left || !answer) return;
      if (answer.id !== payload?.id) picked = null;
      payload = answer;
      draw();
      message.replaceChildren(
        h(
          "p",
          {},
          `${summary.env_id} · preset ${summary.preset} · ${summary.objective}. `,
          `Trials: ${progressOf(summary)}.`,
        ),
        ...troubles(payload),
      );
    } catch (error) {
      if (left) return;
      shown = "";
      message.replaceChildren(note(error.message));
      again = setTimeout(update, AGAIN_MS);
    }
  }

  function draw() {
    if (!payload) return;
    lines.draw({ payload, hidden });
    lines.pick(picked);
    rows.draw({ payload, hidden });
    shares.replaceChildren(...importanceOf(payload.importance));
    facts.replaceChildren(definitionOf(payload.definition));
    drawBest();
  }

  function drawBest() {
    const colour = bodyColour();
    const [first, second] = theme.matches ? DARK : LIGHT;
    const points = STATES.filter((one) => !hidden.has(one))
      .map((one) => pointsOf(payload, one, first))
      .filter(({ x }) => x.length);
    const [x, y] = payload.best_so_far;
    const line = {
      type: "scatter",
      name: "best so far",
      x,
      y,
      mode: "lines",
      line: { color: second, width: 2, shape: "hv" },
    };
    const layout = { ...panelLayout(colour, "trial"), showlegend: true, uirevision: payload.id };
    layout.yaxis.title = {
      text: payload.objective.replaceAll("&", "&amp;").replaceAll("<", "&lt;"),
    };
    drawing = Plotly.react(plot, x.length ? [...points, line] : points, layout, {
      displayModeBar: false,
      responsive: true,
      doubleClick: "reset",
    });
  }

  return {
    update,
    leave() {
      left = true;
      asking.stop();
      clearTimeout(again);
      lines.leave();
      theme.removeEventListener("change", recolour);
      // Plotly draws in several turns of the event loop and fails where it is purged in between.
      drawing.then(() => Plotly.purge(plot));
    },
  };
}

function panel(title, text, kind = "") {
  return h(
    "section",
    { class: `panel ${kind}`.trim() },
    h("h3", {}, title),
    text ? h("p", { class: "quiet" }, text) : null,
  );
}

/** Which trials are shown, by their status. */
function filterOf(hidden, draw) {
  const boxes = STATES.map((one) => {
    const box = h("input", {
      type: "checkbox",
      id: `show-${one}`,
      checked: true,
      change: () => {
        if (box.checked) hidden.delete(one);
        else hidden.add(one);
        draw();
      },
    });
    return h("label", { class: "check" }, box, ` ${one}`);
  });
  return h("fieldset", { class: "axis" }, h("legend", {}, "Trials that are shown"), boxes);
}

function pointsOf({ trials }, one, colour) {
  const those = trials.filter((trial) => trial.state === one && trial.value != null);
  return {
    type: "scatter",
    name: one,
    x: those.map(({ number }) => number),
    y: those.map(({ value }) => value),
    mode: "markers",
    marker: { color: colour, size: 7, symbol: SYMBOLS[one] },
  };
}

function troubles({ damaged, num_damaged: count, limit }) {
  const named = Object.entries(damaged).map(([name, why]) => note(`${name}: ${why}`));
  const rest = count - named.length;
  return [
    ...named,
    ...(rest ? [note(`${counted(rest, "more record")} cannot be read.`)] : []),
    ...(limit
      ? [
          note(
            `There are more trials: the first ${written(limit)} are shown, `,
            "and what follows from them.",
          ),
        ]
      : []),
  ];
}

function importanceOf({ trials, fewest, rows }) {
  const line = ({ name, share, chance }) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, name),
      h("td", { class: "number" }, share == null ? "–" : share.toFixed(2)),
      h("td", { class: "number" }, chance == null ? "–" : chance.toFixed(2)),
      h("td", {}, share == null ? null : bar(0, share, chance)),
    );
  const table = h(
    "table",
    { class: "values importance" },
    h(
      "colgroup",
      {},
      h("col", { class: "name" }),
      h("col", { class: "size" }),
      h("col", { class: "size" }),
      h("col"),
    ),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, "setting"),
        h("th", { scope: "col", class: "number" }, "ε²"),
        h("th", { scope: "col", class: "number" }, "by chance"),
        h("th", { scope: "col", class: "scale" }, "0 … 1"),
      ),
    ),
    h("tbody", {}, rows.map(line)),
  );
  return [
    table,
    note(
      trials < fewest
        ? `It is shown from ${fewest} complete trials on.`
        : `From ${counted(trials, "complete trial")}.`,
    ),
  ];
}

function definitionOf(rows) {
  return h(
    "div",
    { class: "scrolling", role: "region", tabindex: 0, "aria-label": "Definition of the sweep" },
    h(
      "table",
      { class: "definition" },
      h(
        "tbody",
        {},
        rows.map(([name, text]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, text))),
      ),
    ),
  );
}
