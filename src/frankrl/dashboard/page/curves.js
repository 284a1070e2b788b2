// What Plotly draws in a panel of the learning curves: curves, distributions, and marks.

import { keysOf } from "./panels.js";
import { DASHES, plain } from "./plot.js";
import { state } from "./state.js";

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
export function shaped(series) {
  const window = Number(state.smoothing);
  if (window === 1) return series;
  const curve = (name, [x, y]) => [
    name,
    name === "raw" || name === "evaluations" ? [x, y] : [x, smoothed(y, window)],
  ];
  const parts = (traces) =>
    Object.fromEntries(Object.entries(traces).map(([name, points]) => curve(name, points)));
  return series.map((one) => ({
    ...one,
    traces: Object.fromEntries(
      Object.entries(one.traces).map(([key, traces]) => [key, parts(traces)]),
    ),
  }));
}

/** The curves of one run in a panel. */
export function tracesOf(one, number, panel, colours) {
  const colour = colours[number % colours.length];
  const dash = DASHES[number % DASHES.length];
  return keysOf(panel).flatMap((key) => {
    const parts = one.traces[key];
    if (!parts) return [];
    const traces = [];
    const common = {
      type: "scatter",
      name: panel.parts ? panel.parts[key][0] : plain(one.label),
      hoverlabel: { namelength: 40 },
    };
    if (parts.raw)
      traces.push({
        ...common,
        x: parts.raw[0],
        y: parts.raw[1],
        mode: "markers",
        marker: { color: colour, size: 3 },
        opacity: 0.35,
        showlegend: false,
        hoverinfo: "skip",
      });
    if (parts.low) {
      traces.push({
        ...common,
        x: parts.low[0],
        y: parts.low[1],
        mode: "lines",
        line: { width: 0 },
        showlegend: false,
        hoverinfo: "skip",
      });
      traces.push({
        ...common,
        x: parts.high[0],
        y: parts.high[1],
        mode: "lines",
        line: { width: 0 },
        fill: "tonexty",
        fillcolor: `${colour}33`,
        showlegend: false,
        hoverinfo: "skip",
      });
    }
    traces.push({
      ...common,
      x: parts.smooth[0],
      y: parts.smooth[1],
      mode: parts.smooth[0].length > 1 ? "lines" : "markers",
      marker: { color: colour, size: 7 },
      line: { color: colour, width: 2, dash: panel.parts ? panel.parts[key][1] : dash },
    });
    if (panel.evaluations && parts.evaluations?.[0].length)
      traces.push({
        ...common,
        name: `${plain(one.label)}, evaluation`,
        x: parts.evaluations[0],
        y: parts.evaluations[1],
        mode: "markers",
        marker: {
          color: colour,
          size: 8,
          symbol: ["diamond", "square", "triangle-up", "cross", "star"][number % 5],
          line: { width: 1, color: colour },
        },
      });
    return traces;
  });
}

/** A distribution over time, drawn from its quantiles. */
export function fanOf(one, number, { fan }, colours, alone) {
  const colour = colours[number % colours.length];
  const [, low, lower, middle, upper, high] = fan.map((key) => one.traces[key]?.smooth);
  if (!middle?.[0].length) return [];
  const common = { type: "scatter", mode: "lines", hoverinfo: "skip" };
  const between = (below, above, name, share) => [
    { ...common, x: below[0], y: below[1], line: { width: 0 }, showlegend: false },
    {
      ...common,
      x: above[0],
      y: above[1],
      name,
      line: { width: 0 },
      fill: "tonexty",
      fillcolor: `${colour}${share}`,
    },
  ];
  const most = alone ? between(low, high, "middle 90 %", "26") : [];
  const dash = DASHES[number % DASHES.length];
  const median = {
    ...common,
    hoverinfo: "all",
    x: middle[0],
    y: middle[1],
    name: alone ? "median" : plain(one.label),
    mode: middle[0].length > 1 ? "lines" : "markers",
    marker: { color: colour, size: 7 },
    line: { color: colour, width: 2, dash },
    hoverlabel: { namelength: 40 },
  };
  return [...most, ...between(lower, upper, "middle 50 %", "4d"), median];
}

/** Lines across a panel, and marks of refreshes of the target network. */
export function shapesOf(panel, series, colour) {
  const shapes = [];
  const level = (y) =>
    shapes.push({
      type: "line",
      xref: "paper",
      x0: 0,
      x1: 1,
      y0: y,
      y1: y,
      line: { color: colour("--quiet"), width: 1, dash: "dash" },
    });
  const [first] = series;
  if (
    panel.threshold &&
    first.threshold != null &&
    series.every((one) => one.threshold === first.threshold)
  )
    level(first.threshold);
  if (panel.clip && first.max_gradient_norm != null && series.length === 1)
    level(first.max_gradient_norm);
  if (panel.marks && series.length === 1) {
    for (const x of first.refreshes)
      shapes.push({
        type: "line",
        yref: "paper",
        y0: 0,
        y1: 0.06,
        x0: x,
        x1: x,
        line: { color: colour("--ink"), width: 1 },
      });
  }
  return shapes;
}
