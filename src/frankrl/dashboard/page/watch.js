// An episode played with the newest checkpoint, step by step.

import { newest, work } from "./ask.js";
import { counted, h, note, qTable, written } from "./dom.js";
import { progress, runChoice } from "./run_choice.js";
import { state } from "./state.js";

const SPEEDS = [0.25, 0.5, 1, 2, 4];
const AHEAD = 12;
/** A narrower picture grows by whole pixels. */
const SMALL = 300;

/** The view; returns what to do on a change and on leaving. */
export function watch(place) {
  const working = newest();
  let player = null;
  let of = null;
  const choice = h("div", {});
  const content = h("div", {});
  const seed = h("input", { id: "seed", type: "number", min: 0, max: 4294967295, step: 1, value: 0 });
  const form = h("div", { class: "bar-of-controls" }, choice,
    h("label", {}, "Seed ", seed),
    h("button", { type: "button", id: "play-episode", click: () => play() }, "Play an episode"),
    h("button", { type: "button", click: () => { seed.value = Number(seed.value) + 1; play(); } }, "Another seed"));
  place.replaceChildren(h("h2", {}, "Watch"), form, content);

  function update() {
    if (of === state.focus && of !== "" && choice.firstChild?.querySelector?.("select")?.options.length === state.selected.length) return;
    if (of !== state.focus) {
      player?.stop();
      working.stop();
      content.replaceChildren(note("The agent of the newest checkpoint plays a new greedy episode. The episode is not used for training."));
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

function makePlayer(name, episode) {
  const steps = episode.actions.length;
  const returns = [0];
  for (const reward of episode.rewards) returns.push(returns[returns.length - 1] + reward);
  let at = 0;
  let timer = 0;
  let speed = 1;

  const picture = h("img", { class: "picture", alt: "", load: () => picture.classList.toggle("small", picture.naturalWidth < SMALL) });
  const seen = h("img", { alt: "" });
  const sight = h("figure", { class: "sight" }, h("figcaption", {}, seenInWords(episode)), seen);
  const slider = h("input", { type: "range", min: 0, max: steps, value: 0, "aria-label": "step of the episode", input: () => show(Number(slider.value)) });
  const toggle = h("button", { type: "button", id: "toggle", click: () => (timer ? stop() : begin()) }, "Pause");
  const pace = h("select", { change: () => { speed = Number(pace.value); } },
    SPEEDS.map((factor) => h("option", { value: factor, selected: factor === 1 }, `${factor} ×`)));
  const figures = h("div", { class: "figures" });
  const values = h("div", {});
  const components = h("div", {});
  const controls = h("div", { class: "bar-of-controls" },
    h("button", { type: "button", click: () => { stop(); show(0); } }, "To the start"),
    h("button", { type: "button", id: "back", click: () => { stop(); show(at - 1); } }, "One step back"),
    toggle,
    h("button", { type: "button", id: "forward", click: () => { stop(); show(at + 1); } }, "One step forward"),
    h("label", {}, "Speed ", pace));

  function show(step) {
    at = Math.min(Math.max(step, 0), steps);
    slider.value = at;
    slider.setAttribute("aria-valuetext", `step ${at} of ${steps}`);
    const decision = Math.min(at, steps - 1);
    const now = `${episode.env_id} after ${counted(at, "step")}`;
    if (episode.pictures) draw(picture, 0, now);
    if (episode.seen_from != null) draw(seen, episode.seen_from, `what the network sees of ${now}`);
    figures.replaceChildren(
      figure("step", `${written(at)} of ${written(steps)}`),
      figure(at < steps ? "reward of this step" : "reward of the last step", written(episode.rewards[decision])),
      figure("return so far", written(returns[at])));
    const [outputs, short] = isCloned(episode) ? ["logits of s", "logit"] : [isRescaled(episode) ? "Q(s, ·) on the scale h" : "Q(s, ·)", "Q"];
    values.replaceChildren(qTable(at < steps ? outputs : `${outputs} of the last decision`, episode.action_names, episode.q_values[decision], episode.actions[decision], "chosen", short));
    components.replaceChildren(...(episode.num_components ? [stateTable(episode, at)] : []));
  }

  /** Shows the picture of this step and loads the next ones; `first` is the number of step 0. */
  function draw(image, first, words) {
    const path = (step) => `pieces/${name}/${first + step}`;
    image.src = path(at);
    image.alt = words;
    for (let next = at + 1; next <= Math.min(at + AHEAD, steps); next += 1) new Image().src = path(next);
  }

  function begin() {
    if (at >= steps) show(0);
    toggle.textContent = "Pause";
    const tick = () => {
      show(at + 1);
      if (at >= steps) stop();
      else timer = setTimeout(tick, 1000 / (episode.frames_per_second * speed));
    };
    timer = setTimeout(tick, 200);
  }

  function stop() {
    clearTimeout(timer);
    timer = 0;
    toggle.textContent = "Play";
  }

  const element = h("div", { class: "player" },
    h("div", { class: "scene" }, episode.pictures ? picture : note("This environment has no pictures; its numbers are shown here."), slider, controls,
      episode.seen_from != null ? sight : null),
    h("div", { class: "thoughts" }, figures, values, components),
    summary(episode));
  show(0);
  return { element, begin, stop };
}

function figure(name, value) {
  return h("p", { class: "figure" }, h("span", { class: "quiet" }, name), h("b", {}, value));
}

function seenInWords({ frame_stack: stack }) {
  return `What the network sees${stack > 1 ? `: the newest ${stack} observations, the oldest first` : ""}`;
}

function stateTable(episode, at) {
  const what = episode.frame_stack > 1 ? "the newest observation in s" : "the state s";
  const more = episode.num_components - episode.component_names.length;
  return h("table", { class: "state-table" },
    h("caption", {}, more > 0 ? `${what}: the first ${episode.component_names.length} of ${written(episode.num_components)} numbers` : what),
    h("tbody", {}, episode.component_names.map((component, number) =>
      h("tr", {}, h("th", { scope: "row" }, component), h("td", { class: "number" }, written(episode.states[at][number]))))));
}

/** Whether the network's outputs are logits of a cloned policy, which predict no return. */
function isCloned({ output_name: name }) {
  return name === "logit";
}

/** Whether Q-values are on the scale h of value_rescaling. */
function isRescaled({ output_name: name }) {
  return name === "rescaled Q-value";
}

function summary(episode) {
  const off = episode.predicted - episode.discounted_return;
  const comparison = episode.is_whole
    ? `; Q was ${written(Math.abs(off))} too ${off > 0 ? "high" : "low"}${isRescaled(episode) ? " on that scale" : ""}`
    : "; the episode did not terminate, so the two cannot be compared";
  return h("section", { class: "summary", "aria-labelledby": "predicted" },
    h("h3", { id: "predicted" }, isCloned(episode) ? "The return" : "Predicted and actual return"),
    isCloned(episode) ? null : h("p", { class: "formula" }, "max Q(s₀, ·) = ", h("b", { id: "predicted-q" }, written(episode.predicted)),
      `; discounted return of the episode${episode.return_is_of && `, ${episode.return_is_of}`} = `, h("b", { id: "followed" }, written(episode.discounted_return)),
      comparison),
    h("p", {}, `Undiscounted return ${written(episode.episode_return)} in ${counted(episode.actions.length, "step")}; ${episode.end}. `,
      `γ = ${episode.gamma}, checkpoint at ${episode.clock_unit} ${written(episode.env_steps)}, reset seed ${episode.reset_seed}.`),
    episode.notices.map((text) => note(text)));
}
