// An episode played with the newest checkpoint, step by step.

import { newest, work } from "./ask.js";
import { h, note } from "./dom.js";
import { makePlayer } from "./player.js";
import { progress, runChoice } from "./run_choice.js";
import { state } from "./state.js";

/** The view; returns what to do on a change and on leaving. */
export function watch(place) {
  const working = newest();
  let player = null;
  let of = null;
  const choice = h("div", {});
  const content = h("div", {});
  const seed = h("input", {
    id: "seed",
    type: "number",
    min: 0,
    max: 4294967295,
    step: 1,
    value: 0,
  });
  const form = h(
    "div",
    { class: "bar-of-controls" },
    choice,
    h("label", {}, "Seed ", seed),
    h("button", { type: "button", id: "play-episode", click: () => play() }, "Play an episode"),
    h(
      "button",
      {
        type: "button",
        click: () => {
          seed.value = Number(seed.value) + 1;
          play();
        },
      },
      "Another seed",
    ),
  );
  place.replaceChildren(h("h2", {}, "Watch"), form, content);

  function update() {
    if (
      of === state.focus &&
      of !== "" &&
      choice.firstChild?.querySelector?.("select")?.options.length === state.selected.length
    )
      return;
    if (of !== state.focus) {
      player?.stop();
      working.stop();
      content.replaceChildren(
        note(
          "The agent of the newest checkpoint plays a new greedy episode. ",
          "The episode is not used for training.",
        ),
      );
    }
    of = state.focus;
    choice.replaceChildren(runChoice());
  }

  async function play() {
    if (!state.focus) return;
    player?.stop();
    const bar = progress("Playing");
    content.replaceChildren(bar.element);
    try {
      const path = `episode/${state.focus}?seed=${encodeURIComponent(seed.value || 0)}`;
      const answer = await working.run((signal) => work(path, signal, bar.report));
      if (!answer) return;
      player = makePlayer(answer.name, answer.result);
      content.replaceChildren(player.element);
      player.begin();
    } catch (error) {
      content.replaceChildren(note(error.message));
    }
  }

  return {
    update,
    leave() {
      player?.stop();
      working.stop();
    },
  };
}
