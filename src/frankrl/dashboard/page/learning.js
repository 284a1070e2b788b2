// Learning curves of the selected runs.

import { ask, newest } from "./ask.js";
import { shaped } from "./curves.js";
import { counted, h, lineSample, note } from "./dom.js";
import { drawPanel, makeFigure } from "./drawing.js";
import { keysOf, PANELS } from "./panels.js";
import { DARK, DASHES, LIGHT } from "./plot.js";
import { AXES, choose, SMOOTHINGS, state } from "./state.js";

const SHORTEST_MS = 400;
const AGAIN_MS = 5_000;

/** The view; returns what to do on a change and on leaving. */
export function learning(place) {
  const asking = newest();
  let shown = "";
  let waiting = 0;
  let again = 0;
  let choice = "";
  let busy = false;
  let last = 0;
  let left = false;
  const figures = new Map();
  const body = h("div", { class: "panels" });
  const legend = h("ul", { class: "shown-runs", "aria-label": "Runs that are shown" });
  const message = h("div", {});
  const axes = axisChoice();
  const shape = shapeChoice();
  place.replaceChildren(h("h2", {}, "Learning"), axes, shape, legend, message, body);
  const theme = matchMedia("(prefers-color-scheme: dark)");
  const recolour = () => {
    shown = "";
    update();
  };
  theme.addEventListener("change", recolour);

  function update() {
    if (left || !state.loaded) return;
    for (const choice of axes.querySelectorAll("input")) choice.checked = choice.value === state.x;
    shape.querySelector("#smoothing").value = state.smoothing;
    shape.querySelector("#log").checked = state.log;
    if (!state.selected.length) {
      shown = "";
      legend.replaceChildren();
      [...figures.keys()].forEach(remove);
      message.replaceChildren(
        note(
          state.rows.size
            ? "Select one or several runs in the table to see their curves."
            : "Curves appear here once there is a run.",
        ),
      );
      return;
    }
    const versions = state.selected.map((id) => state.rows.get(id)?.change).join(",");
    const chosen = [state.selected, state.x, state.group, state.smoothing, state.log].join("|");
    const wanted = `${chosen}|${versions}`;
    // Wait for a pending answer, unless the choice has changed.
    if (wanted === shown || waiting || (busy && chosen === choice)) return;
    const wait = Math.max(0, last + SHORTEST_MS - performance.now());
    waiting = setTimeout(async () => {
      waiting = 0;
      last = performance.now();
      shown = wanted;
      choice = chosen;
      busy = true;
      clearTimeout(again);
      try {
        const path = `curves?runs=${state.selected}&x=${state.x}&group=${state.group ? 1 : 0}`;
        const payload = await asking.run((signal) => ask(path, signal));
        if (left || !payload) return;
        busy = false;
        draw(payload);
      } catch (error) {
        if (left) return;
        busy = false;
        message.replaceChildren(note(error.message));
        clearTimeout(again);
        again = setTimeout(recolour, AGAIN_MS);
        return;
      }
      update();
    }, wait);
  }

  function remove(key) {
    const { frame, plot, drawing } = figures.get(key);
    frame.remove();
    figures.delete(key);
    // Plotly draws in several turns of the event loop and fails where it is purged in between.
    drawing.then(() => Plotly.purge(plot));
  }

  function draw({ x, series: recorded, unread }) {
    const series = shaped(recorded);
    message.replaceChildren(
      ...Object.entries(unread).map(([name, why]) => note(`${name}: ${why}`)),
    );
    const colours = theme.matches ? DARK : LIGHT;
    legend.replaceChildren(...series.map((one, number) => legendItem(one, number, colours)));
    for (const panel of PANELS) {
      const any = series.some((one) =>
        keysOf(panel).some(
          (key) => one.traces[key]?.smooth[0].length || one.traces[key]?.evaluations?.[0].length,
        ),
      );
      let figure = figures.get(panel.key);
      if (!any) {
        if (figure) remove(panel.key);
        continue;
      }
      if (!figure) {
        figure = makeFigure(panel);
        figures.set(panel.key, figure);
        body.append(figure.frame);
      }
      figure.drawing = drawPanel(figure, panel, x, series, colours);
    }
    if (!figures.size && series.length)
      message.append(
        note(
          "Nothing has been measured yet. The first row of metrics is written after ",
          "log_every_env_steps, or log_every_updates.",
        ),
      );
  }

  return {
    update,
    leave() {
      left = true;
      asking.stop();
      clearTimeout(waiting);
      clearTimeout(again);
      [...figures.keys()].forEach(remove);
      theme.removeEventListener("change", recolour);
    },
  };
}

function axisChoice() {
  const options = Object.entries(AXES).map(([value, text]) =>
    h(
      "label",
      { class: "check" },
      h("input", {
        type: "radio",
        name: "axis",
        value,
        checked: state.x === value,
        change: () => choose({ x: value }),
      }),
      text,
    ),
  );
  return h("fieldset", { class: "axis" }, h("legend", {}, "Horizontal axis"), options);
}

/** How the curves are drawn: their smoothing, and the vertical axis. */
function shapeChoice() {
  const smoothing = h(
    "select",
    { id: "smoothing", change: () => choose({ smoothing: smoothing.value }) },
    Object.entries(SMOOTHINGS).map(([value, text]) =>
      h("option", { value, selected: value === state.smoothing }, text),
    ),
  );
  const log = h("input", {
    type: "checkbox",
    id: "log",
    checked: state.log,
    change: () => choose({ log: log.checked }),
  });
  return h(
    "div",
    { class: "bar-of-controls" },
    h("label", {}, "Smoothing ", smoothing),
    h("label", {}, log, " logarithmic vertical axis where all values are positive"),
  );
}

function legendItem(one, number, colours) {
  const dash = {
    solid: "",
    dash: "6 4",
    dot: "2 3",
    dashdot: "6 3 2 3",
    longdash: "10 4",
    longdashdot: "10 3 2 3",
  };
  const sample = lineSample({
    stroke: colours[number % colours.length],
    "stroke-width": 3,
    "stroke-dasharray": dash[DASHES[number % DASHES.length]],
  });
  return h(
    "li",
    {},
    sample,
    ` ${one.label} `,
    h("span", { class: "quiet" }, one.runs.length > 1 ? "" : refreshed(one)),
  );
}

/** How often the target network of a run is refreshed, in words. */
function refreshed({ target_period_updates: period, tau, num_refreshes: count }) {
  if (period == null) return "no target network";
  if (tau < 1) return "soft refreshes of the target network";
  return `target network refreshed ${counted(count, "time")}, every ${counted(period, "update")}`;
}
