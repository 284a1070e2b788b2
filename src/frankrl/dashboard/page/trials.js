// The table of a sweep's trials.

import { arrange, h, markSorted, setText, sortHead } from "./dom.js";
import { address, state } from "./state.js";

const FEW = ["trial", "trial-state", "trial-value"];

/** The table; returns how to draw trials, and how to mark one. */
export function trialTable(place, onPick) {
  const scrolling = h("div", {
    class: "scrolling trials",
    role: "region",
    tabindex: 0,
    "aria-label": "Table of trials",
  });
  place.append(scrolling);
  const body = h("tbody");
  let lines = new Map();
  let head = null;
  let heads = "";
  let drawn = null;
  let picked = null;
  let order = null;

  function draw(asked) {
    const { payload, hidden } = asked;
    const wanted = JSON.stringify([payload.id, payload.axes.map(({ name }) => name)]);
    if (wanted !== heads) {
      heads = wanted;
      order = null;
      lines = new Map();
      head = headOf(payload);
      head.addEventListener("click", sort);
      body.replaceChildren();
      scrolling.replaceChildren(h("table", { class: "trials-table" }, head, body));
    }
    drawn = asked;
    order ??= firstOrder("trial-value");
    markSorted(head, order);
    const shown = payload.trials.filter((trial) => !hidden.has(trial.state));
    arrange(
      body,
      shown.sort((a, b) => compare(a, b, payload)).map((trial) => line(trial, payload)),
    );
  }

  function sort(event) {
    const key = event.target.closest("button")?.dataset.sort;
    if (!key) return;
    order = order.key === key ? { key, down: !order.down } : firstOrder(key);
    draw(drawn);
  }

  /** The best value on top; else the smallest one. */
  function firstOrder(key) {
    return { key, down: key === "trial-value" && drawn.payload.direction === "maximize" };
  }

  function compare(a, b, payload) {
    const axis = Number(order.key.slice("trial-".length));
    const of = (trial) => {
      if (order.key === "trial") return trial.number;
      if (order.key === "trial-state") return trial.state;
      // Only a complete trial can be the best one.
      if (order.key === "trial-value") return trial.state === "complete" ? trial.value : null;
      return trial.places[axis];
    };
    const [x, y] = [of(a), of(b)];
    // Trials without a value come last in either order.
    if (x == null || y == null) return (x == null) - (y == null) || a.number - b.number;
    const natural = typeof x === "string" ? x.localeCompare(y, "en") : x - y;
    return (
      (order.down ? -natural : natural) ||
      (a.number === payload.best ? -1 : b.number === payload.best ? 1 : a.number - b.number)
    );
  }

  /** The row of a trial. Its elements are reused, so that no click is lost while rows change. */
  function line(trial, payload) {
    if (!lines.has(trial.number)) {
      const button = h(
        "button",
        {
          type: "button",
          "aria-label": `Mark trial ${trial.number}`,
          "aria-pressed": "false",
          click: () => onPick(trial.number),
        },
        String(trial.number),
      );
      const cells = [...Array(4 + payload.axes.length)].map((_, number) =>
        h("td", { class: number === 1 || number === 2 ? "number" : null }),
      );
      lines.set(trial.number, {
        button,
        element: h(
          "tr",
          {},
          h("th", { scope: "row" }, button),
          cells,
          h("td", { class: "reason" }),
        ),
      });
    }
    const { element, button } = lines.get(trial.number);
    const cells = [...element.cells];
    const texts = [
      trial.number === payload.best ? "complete, the best" : trial.state,
      trial.text,
      trial.values.join(" · "),
      ...trial.settings.map((one) => one ?? "–"),
    ];
    for (const [number, text] of texts.entries()) setText(cells[number + 1], text);
    cells[1].className = `state ${trial.state}`;
    setText(cells.at(-1), trial.reason);
    links(cells.at(-2), trial);
    const classes = [
      trial.number === payload.best ? "marked" : "",
      trial.number === picked ? "chosen" : "",
    ];
    element.className = classes.filter(Boolean).join(" ");
    button.setAttribute("aria-pressed", String(trial.number === picked));
    return element;
  }

  /** Mark a trial, or none; its row is brought into sight within the table. */
  function pick(number) {
    picked = number;
    if (drawn) draw(drawn);
    const element = lines.get(number)?.element;
    if (!element?.isConnected) return;
    const above = element.offsetTop - head.offsetHeight - scrolling.scrollTop;
    const below =
      element.offsetTop + element.offsetHeight - scrolling.scrollTop - scrolling.clientHeight;
    if (above < 0) scrolling.scrollTop += above;
    else if (below > 0) scrolling.scrollTop += below;
  }

  return { draw, pick };
}

function headOf({ axes }) {
  const [number, how, value] = FEW;
  return h(
    "thead",
    {},
    h(
      "tr",
      {},
      sortHead(number, "trial"),
      sortHead(how, "status"),
      sortHead(value, "value", { class: "number" }),
      h("th", { scope: "col", class: "number" }, "value of each seed"),
      axes.map(({ name, meaning }, axis) =>
        sortHead(`trial-${axis}`, name, { title: meaning || null }),
      ),
      h("th", { scope: "col" }, "runs"),
      h("th", { scope: "col" }, "reason"),
    ),
  );
}

/** Links to the runs of a trial that the table of runs has. */
function links(cell, trial) {
  const there = trial.runs.filter(([, id]) => state.rows.has(id));
  const ids = there.map(([, id]) => id);
  const all = there.length > 1 ? [["all", ids]] : [];
  const wanted = [...there.map(([name, id]) => [name, [id]]), ...all];
  const key = JSON.stringify(wanted);
  if (cell.dataset.links === key) return;
  cell.dataset.links = key;
  cell.replaceChildren(
    ...wanted.flatMap(([name, selected], number) => [
      number ? ", " : "",
      link(name, selected, trial.number),
    ]),
  );
}

function link(name, selected, trial) {
  const what = name === "all" ? "all runs" : `run with ${name}`;
  return h(
    "a",
    {
      href: address({ view: "learning", selected, focus: selected[0] }),
      "aria-label": `${what} of trial ${trial}`,
    },
    name,
  );
}
