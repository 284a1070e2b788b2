// A panel of the learning curves on the page.

import { fanOf, shapesOf, tracesOf } from "./curves.js";
import { h, written } from "./dom.js";
import { keysOf } from "./panels.js";
import { bodyColour, panelLayout } from "./plot.js";
import { AXES, state } from "./state.js";

const RESCALED = "h is the scale of value_rescaling, on which this is learned.";

/** The elements of a panel, without its curves. */
export function makeFigure(panel) {
  const id = `panel-${panel.key}`;
  const plot = h("div", {
    class: "plot",
    id: `plot-${panel.key}`,
    role: "img",
    "aria-labelledby": id,
  });
  const latest = h("p", { class: "latest" });
  const unit = h("span", { class: "quiet" });
  const text = h("p", {});
  const frame = h(
    "figure",
    { class: "panel" },
    h("figcaption", {}, h("h3", { id }, `${panel.title} `, unit), text),
    plot,
    latest,
  );
  return { frame, plot, latest, unit, text };
}

/**
 * Says the unit of a panel: with value_rescaling, Q-values and what is compared with them are on
 * the scale h.
 */
function name({ unit, text }, panel, series) {
  const scaled = typeof panel.unit === "function";
  const rewards = [...new Set(series.map((one) => one.value_unit))];
  const isRescaled = scaled && rewards.some((one) => one !== "reward");
  unit.textContent = `[${scaled ? rewards.map(panel.unit).join(" or ") : panel.unit}]`;
  text.textContent = isRescaled ? `${panel.text} ${RESCALED}` : panel.text;
}

/** Draw a panel; returns a promise that is kept when Plotly is done. */
export function drawPanel(figure, panel, x, series, colours) {
  const { plot, latest } = figure;
  name(figure, panel, series);
  const colour = bodyColour();
  const alone = series.length === 1;
  const drawn = panel.fan ? fanOf : tracesOf;
  const data = series.flatMap((one, number) => drawn(one, number, panel, colours, alone));
  const layout = {
    ...panelLayout(colour, axisTitle(x, series), state.log && isPositive(data) ? "log" : "linear"),
    showlegend: Boolean(panel.parts ?? panel.fan) && alone,
    shapes: shapesOf(panel, series, colour),
    hovermode: "x",
    uirevision: `${x} ${state.log}`,
  };
  const drawing = Plotly.react(plot, data, layout, {
    displayModeBar: false,
    responsive: true,
    doubleClick: "reset",
  });
  latest.textContent = series
    .map((one) => {
      const values = panel.fan
        ? spreadNow(one.latest, panel.fan)
        : keysOf(panel)
            .filter((key) => one.latest[key] != null)
            .map(
              (key) => `${panel.parts ? `${panel.parts[key][0]} ` : ""}${written(one.latest[key])}`,
            );
      return values.length ? `${alone ? "now" : one.label}: ${values.join(", ")}` : "";
    })
    .filter(Boolean)
    .join("; ");
  return drawing;
}

/** The unit of the horizontal axis: runs that do not act count updates instead of env steps. */
function axisTitle(x, series) {
  if (x === "seconds") return "s";
  return x === "env_steps" ? [...new Set(series.map((one) => one.clock))].join(" or ") : AXES[x];
}

/** Whether a logarithmic axis can show all that is drawn. */
function isPositive(data) {
  return data.every((trace) => trace.y.every((value) => value == null || value > 0));
}

function spreadNow(latest, [least, low, , middle, , high, most]) {
  if (latest[middle] == null) return [];
  const span = (from, to) => `${written(latest[from])} … ${written(latest[to])}`;
  return [
    `median ${written(latest[middle])}`,
    `middle 90 % ${span(low, high)}`,
    `all ${span(least, most)}`,
  ];
}
