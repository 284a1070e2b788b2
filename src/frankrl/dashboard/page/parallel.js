// Parallel coordinates: an axis for each searched setting and one for the value, and a line for
// each trial.

import { h, lineSample, s } from "./dom.js";

const HEIGHT = 360;
const TOP = 62;
const BOTTOM = 46;
const SIDE = 56;
const RIGHT = 92;
const NARROWEST = 118;
const LEVELS = 8;
const LINE_LETTERS = 17;
const NO_VALUE = "no value";
const DASHES = { complete: null, pruned: "7 5", failed: "1.5 4", running: "14 4 2 4" };

/** The panel; returns how to draw trials, and how to pick one. */
export function parallel(place, onPick) {
  const plot = h("div", {
    class: "scrolling parallel",
    role: "region",
    tabindex: 0,
    "aria-label": "Parallel coordinates of the trials",
  });
  const legend = h("ul", { class: "shown-runs parallel-legend", "aria-label": "Lines" });
  place.append(plot, legend);
  let drawn = null;
  let paths = new Map();
  let picked = null;
  const again = new ResizeObserver(() => {
    if (drawn) draw(drawn);
  });
  again.observe(plot);

  function draw(asked) {
    drawn = asked;
    const { payload, hidden } = asked;
    const width = Math.max(plot.clientWidth, payload.axes.length * NARROWEST + SIDE + RIGHT);
    const at = (axis) => SIDE + (axis * (width - SIDE - RIGHT)) / payload.axes.length;
    paths = new Map(
      inOrder(payload)
        .filter((trial) => !hidden.has(trial.state))
        .map((trial) => [trial.number, pathOf(trial, payload, at)]),
    );
    for (const [number, path] of paths) path.addEventListener("click", () => onPick(number));
    const best = payload.best == null || !paths.has(payload.best) ? [] : circles(payload, at);
    const title = s(
      "title",
      {},
      `${payload.trials.length} trials of ${payload.name}; the table below has their numbers`,
    );
    plot.replaceChildren(
      s(
        "svg",
        {
          class: "coordinates",
          width,
          height: HEIGHT,
          viewBox: `0 0 ${width} ${HEIGHT}`,
          role: "img",
        },
        title,
        s("g", { class: "lines" }, [...paths.values()]),
        best,
        axesOf(payload, at),
      ),
    );
    legend.replaceChildren(...legendOf(payload));
    pick(picked);
  }

  function pick(number) {
    picked = number;
    for (const [own, path] of paths) path.classList.toggle("picked", own === number);
    const path = paths.get(number);
    if (path) path.parentElement.append(path);
  }

  return { draw, pick, leave: () => again.disconnect() };
}

/** Trials from back to front: without a value first, then from the worst to the best one. */
function inOrder({ trials }) {
  const rank = (trial) => (trial.colour == null ? 0 : 1 + trial.colour);
  return [...trials].sort((a, b) => rank(a) - rank(b) || b.number - a.number);
}

const up = (place) => TOP + (1 - place) * (HEIGHT - TOP - BOTTOM);
const NOWHERE = HEIGHT - BOTTOM + 26;

function pointsOf(trial, { axes }, at) {
  const points = trial.places.map((place, axis) => (place == null ? null : [at(axis), up(place)]));
  return [...points, [at(axes.length), trial.place == null ? NOWHERE : up(trial.place)]];
}

function pathOf(trial, payload, at) {
  let isDown = false;
  const d = pointsOf(trial, payload, at)
    .map((point) => {
      const step = point && `${isDown ? "L" : "M"}${point.map((one) => one.toFixed(1)).join(" ")}`;
      isDown = point != null;
      return step ?? "";
    })
    .join("");
  const settings = payload.axes
    .map(({ name }, axis) => `${name} ${trial.settings[axis] ?? "–"}`)
    .join(", ");
  const title = s(
    "title",
    {},
    `Trial ${trial.number}, ${trial.state}: ${settings}; value ${trial.text}`,
  );
  const level =
    trial.colour == null ? "" : ` level-${Math.min(LEVELS - 1, Math.floor(LEVELS * trial.colour))}`;
  const best = trial.number === payload.best ? " best" : "";
  return s(
    "path",
    {
      d,
      class: `trial ${trial.state}${level}${best}`,
      "stroke-dasharray": DASHES[trial.state],
      "data-trial": trial.number,
    },
    title,
  );
}

/** Circles on the line of the best trial, so that it is not told by colour alone. */
function circles(payload, at) {
  const trial = payload.trials.find(({ number }) => number === payload.best);
  return pointsOf(trial, payload, at)
    .filter(Boolean)
    .map(([cx, cy]) => s("circle", { class: "best-point", cx, cy, r: 4.5 }));
}

function axesOf(payload, at) {
  const value =
    payload.value_axis.length === 2
      ? [
          [0, payload.value_axis[0]],
          [1, payload.value_axis[1]],
        ].slice(payload.value_axis[0] === payload.value_axis[1] ? 1 : 0)
      : [];
  const all = [
    ...payload.axes,
    { name: payload.objective, marks: value, direction: payload.direction },
  ];
  return all.map(({ name, marks, log, direction }, axis) => {
    const x = at(axis);
    const under = log ? "log scale" : direction ? `${direction}, best on top` : "";
    return s(
      "g",
      { class: "axis-of-setting" },
      s("line", { x1: x, x2: x, y1: up(0), y2: up(1) }),
      nameOf(name, x),
      under ? s("text", { class: "under", x, y: TOP - 12, "text-anchor": "middle" }, under) : null,
      marks.map(([place, text]) => s("text", { x: x + 6, y: up(place) + 4 }, cut(text))),
      direction ? s("text", { class: "under", x: x + 6, y: NOWHERE + 4 }, NO_VALUE) : null,
    );
  });
}

/** A setting's name above its axis, in lines that end at an underscore. */
function nameOf(name, x) {
  const lines = [""];
  for (const part of name.split(/(?<=_)/)) {
    if (lines.at(-1) && (lines.at(-1) + part).length > LINE_LETTERS) lines.push("");
    lines[lines.length - 1] += part;
  }
  const last = lines.slice(0, 3);
  return s(
    "text",
    { class: "name", "text-anchor": "middle" },
    last.map((line, number) =>
      s("tspan", { x, y: TOP - 26 - 14 * (last.length - 1 - number) }, cut(line, LINE_LETTERS)),
    ),
  );
}

function cut(text, most = 14) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function legendOf({ trials, best, complete }) {
  const states = new Set(trials.map(({ state }) => state));
  const ramp = s(
    "svg",
    {
      viewBox: "0 0 32 8",
      class: "sample ramp",
      "aria-hidden": "true",
      preserveAspectRatio: "none",
    },
    [...Array(LEVELS).keys()].map((level) =>
      s("rect", { class: `level-${level}`, x: 4 * level, width: 4, y: 0, height: 8 }),
    ),
  );
  const items = [];
  if (complete.length)
    items.push(h("li", {}, ramp, ` complete, from ${complete[0]} to ${complete[1]}`));
  if (best != null)
    items.push(
      h(
        "li",
        {},
        lineSample({ class: "trial complete best" }),
        ` the best, trial ${best}, with circles`,
      ),
    );
  for (const state of ["pruned", "failed", "running"]) {
    if (states.has(state))
      items.push(
        h(
          "li",
          {},
          lineSample({ class: `trial ${state}`, "stroke-dasharray": DASHES[state] }),
          ` ${state}`,
        ),
      );
  }
  return items;
}
