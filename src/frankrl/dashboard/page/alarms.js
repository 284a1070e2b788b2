// What is worth a word of warning in a run.

import { ask, newest, work } from "./ask.js";
import { h, note, written } from "./dom.js";
import { runChoice } from "./run_choice.js";
import { focused, state } from "./state.js";

/** The view; returns what to do on a change and on leaving. */
export function alarms(place) {
  const asking = newest();
  const working = newest();
  const choice = h("div", {});
  const list = h("div", {});
  const inside = h("div", {});
  place.replaceChildren(h("h2", {}, "Alarms"), choice, list, inside);
  let of = null;
  let shown = "";

  async function update() {
    const row = focused();
    if (of !== row?.id || !choice.firstChild) {
      of = row?.id ?? null;
      asking.stop();
      shown = "";
      list.dataset.told = "";
      list.replaceChildren();
      look();
    }
    if (choice.querySelector("select")?.options.length !== state.selected.length || choice.querySelector("select")?.value !== state.focus) choice.replaceChildren(runChoice());
    const wanted = `${state.focus} ${row?.change}`;
    if (!row || wanted === shown) return;
    shown = wanted;
    try {
      const told = await asking.run((signal) => ask(`alarms/${row.id}`, signal));
      // What stands there already is not read out again.
      if (!told || JSON.stringify(told) === list.dataset.told) return;
      list.replaceChildren(...listed(told));
      list.dataset.told = JSON.stringify(told);
    } catch (error) {
      list.dataset.told = "";
      list.replaceChildren(note(error.message));
    }
  }

  async function look() {
    working.stop();
    inside.replaceChildren();
    if (!focused()) return;
    inside.replaceChildren(note("Looking into the newest checkpoint …"));
    try {
      const told = await working.run((signal) => work(`inside/${state.focus}`, signal, () => {}));
      if (told) inside.replaceChildren(...found(told.result));
    } catch (error) {
      inside.replaceChildren(h("h3", {}, "In the newest checkpoint"), note(error.message));
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

function listed({ alarms, looked_for: lookedFor }) {
  const none = note("Nothing to warn of in its metrics and settings.");
  return [h("h3", {}, "In its metrics and settings"), ...(alarms.length ? alarms.map(shown) : [none]),
    h("p", { class: "quiet" }, `Looked at: ${lookedFor.join("; ")}.`)];
}

function found(inside) {
  const layers = inside.widths.map((width, layer) => `${inside.dead_units[layer]} of ${width}`);
  const units = layers.length ? `dead units by hidden layer: ${layers.join(", ")}` : "dead units are only counted in networks with relu";
  const told = `Env step ${written(inside.env_steps)}: ${units}; the experience replay buffer holds ${written(inside.quadruples)} quadruples of ${written(inside.episodes)} episodes, ${written(inside.largest_episode)} of one.`;
  const none = note("Nothing to warn of there.");
  return [h("h3", {}, "In the newest checkpoint"), h("p", {}, told), ...(inside.alarms.length ? inside.alarms.map(shown) : [none])];
}

function shown({ title, evidence, advice, docs }) {
  return h("article", { class: "alarm" }, h("h4", {}, h("span", { "aria-hidden": "true" }, "▲ "), title),
    h("p", {}, evidence), h("p", {}, advice),
    h("p", {}, h("a", { href: docs, target: "_blank", rel: "noopener", "aria-label": `What this means: ${title} (opens another page)` }, "What this means")));
}
