// Learning curves of the selected runs.

import { ask, newest } from "./ask.js";
import { counted, h, lineSample, note, written } from "./dom.js";
import { DARK, DASHES, LIGHT, bodyColour, panelLayout, plain } from "./plot.js";
import { AXES, SMOOTHINGS, choose, state } from "./state.js";

const PANELS = [
  { key: "return", title: "Return", unit: "reward", text: "Sum of an episode's rewards: single episodes, their moving mean, and greedy evaluations as markers.", evaluations: true, threshold: true },
  { key: "length", title: "Episode length", unit: "env steps", text: "Env steps of each training episode, and their moving mean." },
  { key: "epsilon", title: "ε", unit: "probability", text: "Probability of a random action." },
  { key: "loss", title: "Loss", unit: (reward) => `${reward}², or as set`, text: "Mean loss of a batch. The loss grows with the Q-values, so it need not fall.", marks: true },
  { key: "q", title: "Q-values against the return", unit: (reward) => reward, parts: { mean_max_q: ["largest Q of a state", "solid"], mean_q: ["Q(s, a)", "dash"], discounted_return: ["discounted return (derived)", "dot"] }, text: "Q-values above the discounted return are overestimates. The discounted return is derived from the mean return and length of the last 100 episodes, assuming equal rewards at every step.", marks: true },
  { key: "td_error", title: "TD errors", unit: (reward) => reward, fan: ["td_error_min", "td_error_p05", "td_error_p25", "td_error_p50", "td_error_p75", "td_error_p95", "td_error_max"], text: "Distribution of y − Q(s, a): the median, the middle 50 % (dark) and, with a single run, the middle 90 % (light). Minimum and maximum are given as text below, because they would hide the rest.", marks: true },
  { key: "gradient_norm", title: "Gradient norm", unit: "gradient", text: "Global L2 norm of the gradient before clipping.", clip: true },
  { key: "speed", title: "Speed", unit: "env steps/s", text: "Env steps per second since the previous row, or updates of a run that does not act; an evaluation makes its interval slower." },
  { key: "replay_fill", title: "Replay buffer", unit: "transitions", text: "Number of stored transitions, derived from env steps and capacity." },
  { key: "sampled_age", title: "Age of sampled transitions", unit: "env steps", text: "Mean age of the transitions of a batch. With uniform sampling it is half the size of the buffer." },
];
const RESCALED = "h is the scale of value_rescaling, on which this is learned.";
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
  const recolour = () => { shown = ""; update(); };
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
      message.replaceChildren(note(state.rows.size
        ? "Select one or several runs in the table to see their curves."
        : "Curves appear here once there is a run."));
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
    message.replaceChildren(...Object.entries(unread).map(([name, why]) => note(`${name}: ${why}`)));
    const colours = theme.matches ? DARK : LIGHT;
    legend.replaceChildren(...series.map((one, number) => legendItem(one, number, colours)));
    for (const panel of PANELS) {
      const any = series.some((one) => keysOf(panel).some((key) => one.traces[key]?.smooth[0].length || one.traces[key]?.evaluations?.[0].length));
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
    if (!figures.size && series.length) message.append(note("Nothing has been measured yet. The first row of metrics is written after log_every_env_steps, or log_every_updates."));
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
    h("label", { class: "check" },
      h("input", { type: "radio", name: "axis", value, checked: state.x === value, change: () => choose({ x: value }) }), text));
  return h("fieldset", { class: "axis" }, h("legend", {}, "Horizontal axis"), options);
}

/** How the curves are drawn: their smoothing, and the vertical axis. */
function shapeChoice() {
  const smoothing = h("select", { id: "smoothing", change: () => choose({ smoothing: smoothing.value }) },
    Object.entries(SMOOTHINGS).map(([value, text]) => h("option", { value, selected: value === state.smoothing }, text)));
  const log = h("input", { type: "checkbox", id: "log", checked: state.log, change: () => choose({ log: log.checked }) });
  return h("div", { class: "bar-of-controls" },
    h("label", {}, "Smoothing ", smoothing),
    h("label", {}, log, " logarithmic vertical axis where all values are positive"));
}

/** The mean of the points around each point, fewer of them at the ends; null stays null. */
function smoothed(values, window) {
  const half = Math.floor(window / 2);
  return values.map((value, at) => {
    if (value == null) return null;
    const near = values.slice(Math.max(at - half, 0), at + half + 1).filter((one) => one != null);
    return near.reduce((sum, one) => sum + one, 0) / near.length;
  });
}

/** Curves smoothed as chosen; single episodes and evaluations stay as they are. */
function shaped(series) {
  const window = Number(state.smoothing);
  if (window === 1) return series;
  const curve = (name, [x, y]) => [name, name === "raw" || name === "evaluations" ? [x, y] : [x, smoothed(y, window)]];
  const parts = (traces) => Object.fromEntries(Object.entries(traces).map(([name, points]) => curve(name, points)));
  return series.map((one) => ({
    ...one,
    traces: Object.fromEntries(Object.entries(one.traces).map(([key, traces]) => [key, parts(traces)])),
  }));
}

/** Whether a logarithmic axis can show all that is drawn. */
function isPositive(data) {
  return data.every((trace) => trace.y.every((value) => value == null || value > 0));
}

function legendItem(one, number, colours) {
  const dash = { solid: "", dash: "6 4", dot: "2 3", dashdot: "6 3 2 3", longdash: "10 4", longdashdot: "10 3 2 3" };
  const sample = lineSample({ stroke: colours[number % colours.length], "stroke-width": 3, "stroke-dasharray": dash[DASHES[number % DASHES.length]] });
  const refreshed = one.target_period_updates == null
    ? "no target network"
    : one.tau < 1
    ? "soft refreshes of the target network"
    : `target network refreshed ${counted(one.num_refreshes, "time")}, every ${counted(one.target_period_updates, "update")}`;
  return h("li", {}, sample, ` ${one.label} `, h("span", { class: "quiet" }, one.runs.length > 1 ? "" : refreshed));
}

function makeFigure(panel) {
  const id = `panel-${panel.key}`;
  const plot = h("div", { class: "plot", id: `plot-${panel.key}`, role: "img", "aria-labelledby": id });
  const latest = h("p", { class: "latest" });
  const unit = h("span", { class: "quiet" });
  const text = h("p", {});
  const frame = h("figure", { class: "panel" },
    h("figcaption", {}, h("h3", { id }, `${panel.title} `, unit), text), plot, latest);
  return { frame, plot, latest, unit, text };
}

/** Says the unit of a panel: with value_rescaling, Q-values and what is compared with them are on the scale h. */
function name({ unit, text }, panel, series) {
  const scaled = typeof panel.unit === "function";
  const rewards = [...new Set(series.map((one) => one.value_unit))];
  const isRescaled = scaled && rewards.some((one) => one !== "reward");
  unit.textContent = `[${scaled ? rewards.map(panel.unit).join(" or ") : panel.unit}]`;
  text.textContent = isRescaled ? `${panel.text} ${RESCALED}` : panel.text;
}

function keysOf(panel) {
  return panel.fan ?? (panel.parts ? Object.keys(panel.parts) : [panel.key]);
}

/** Draw a panel; returns a promise that is kept when Plotly is done. */
function drawPanel(figure, panel, x, series, colours) {
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
  const drawing = Plotly.react(plot, data, layout, { displayModeBar: false, responsive: true, doubleClick: "reset" });
  latest.textContent = series.map((one) => {
    const values = panel.fan ? spreadNow(one.latest, panel.fan) : keysOf(panel).filter((key) => one.latest[key] != null)
      .map((key) => `${panel.parts ? `${panel.parts[key][0]} ` : ""}${written(one.latest[key])}`);
    return values.length ? `${alone ? "now" : one.label}: ${values.join(", ")}` : "";
  }).filter(Boolean).join("; ");
  return drawing;
}

/** The unit of the horizontal axis: runs that do not act count updates instead of env steps. */
function axisTitle(x, series) {
  if (x === "seconds") return "s";
  return x === "env_steps" ? [...new Set(series.map((one) => one.clock))].join(" or ") : AXES[x];
}

function tracesOf(one, number, panel, colours) {
  const colour = colours[number % colours.length];
  const dash = DASHES[number % DASHES.length];
  return keysOf(panel).flatMap((key) => {
    const parts = one.traces[key];
    if (!parts) return [];
    const traces = [];
    const common = { type: "scatter", name: panel.parts ? panel.parts[key][0] : plain(one.label), hoverlabel: { namelength: 40 } };
    if (parts.raw) traces.push({ ...common, x: parts.raw[0], y: parts.raw[1], mode: "markers", marker: { color: colour, size: 3 }, opacity: 0.35, showlegend: false, hoverinfo: "skip" });
    if (parts.low) {
      traces.push({ ...common, x: parts.low[0], y: parts.low[1], mode: "lines", line: { width: 0 }, showlegend: false, hoverinfo: "skip" });
      traces.push({ ...common, x: parts.high[0], y: parts.high[1], mode: "lines", line: { width: 0 }, fill: "tonexty", fillcolor: `${colour}33`, showlegend: false, hoverinfo: "skip" });
    }
    traces.push({ ...common, x: parts.smooth[0], y: parts.smooth[1], mode: parts.smooth[0].length > 1 ? "lines" : "markers", marker: { color: colour, size: 7 }, line: { color: colour, width: 2, dash: panel.parts ? panel.parts[key][1] : dash } });
    if (panel.evaluations && parts.evaluations?.[0].length) traces.push({ ...common, name: `${plain(one.label)}, evaluation`, x: parts.evaluations[0], y: parts.evaluations[1], mode: "markers", marker: { color: colour, size: 8, symbol: ["diamond", "square", "triangle-up", "cross", "star"][number % 5], line: { width: 1, color: colour } } });
    return traces;
  });
}

/** A distribution over time, drawn from its quantiles. */
function fanOf(one, number, { fan }, colours, alone) {
  const colour = colours[number % colours.length];
  const [, low, lower, middle, upper, high] = fan.map((key) => one.traces[key]?.smooth);
  if (!middle?.[0].length) return [];
  const common = { type: "scatter", mode: "lines", hoverinfo: "skip" };
  const between = (below, above, name, share) => [
    { ...common, x: below[0], y: below[1], line: { width: 0 }, showlegend: false },
    { ...common, x: above[0], y: above[1], name, line: { width: 0 }, fill: "tonexty", fillcolor: `${colour}${share}` },
  ];
  const most = alone ? between(low, high, "middle 90 %", "26") : [];
  const dash = DASHES[number % DASHES.length];
  const median = { ...common, hoverinfo: "all", x: middle[0], y: middle[1], name: alone ? "median" : plain(one.label), mode: middle[0].length > 1 ? "lines" : "markers", marker: { color: colour, size: 7 }, line: { color: colour, width: 2, dash }, hoverlabel: { namelength: 40 } };
  return [...most, ...between(lower, upper, "middle 50 %", "4d"), median];
}

function spreadNow(latest, [least, low, , middle, , high, most]) {
  if (latest[middle] == null) return [];
  const span = (from, to) => `${written(latest[from])} … ${written(latest[to])}`;
  return [`median ${written(latest[middle])}`, `middle 90 % ${span(low, high)}`, `all ${span(least, most)}`];
}

function shapesOf(panel, series, colour) {
  const shapes = [];
  const level = (y) => shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line: { color: colour("--quiet"), width: 1, dash: "dash" } });
  const [first] = series;
  if (panel.threshold && first.threshold != null && series.every((one) => one.threshold === first.threshold)) level(first.threshold);
  if (panel.clip && first.max_gradient_norm != null && series.length === 1) level(first.max_gradient_norm);
  if (panel.marks && series.length === 1) {
    for (const x of first.refreshes) shapes.push({ type: "line", yref: "paper", y0: 0, y1: 0.06, x0: x, x1: x, line: { color: colour("--ink"), width: 1 } });
  }
  return shapes;
}
