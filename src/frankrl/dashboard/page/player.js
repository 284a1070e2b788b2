// The player of an episode: its pictures, and what the agent thinks at each step.

import { counted, h, note, qTable, tick, written } from "./dom.js";

const SPEEDS = [0.25, 0.5, 1, 2, 4];
const AHEAD = 12;
/** A narrower picture grows by whole pixels. */
const SMALL = 300;

/** A player of an episode of a result. Returns its element, and what begins and stops it. */
export function makePlayer(name, episode) {
  const steps = episode.actions.length;
  const returns = [0];
  for (const reward of episode.rewards) returns.push(returns[returns.length - 1] + reward);
  let at = 0;
  let timer = 0;
  let speed = 1;

  const picture = h("img", {
    class: "picture",
    alt: "",
    load: () => picture.classList.toggle("small", picture.naturalWidth < SMALL),
  });
  const seen = h("img", { alt: "" });
  const sight = h("figure", { class: "sight" }, h("figcaption", {}, seenInWords(episode)), seen);
  const slider = h("input", {
    type: "range",
    min: 0,
    max: steps,
    value: 0,
    "aria-label": "step of the episode",
    input: () => show(Number(slider.value)),
  });
  const toggle = h(
    "button",
    { type: "button", id: "toggle", click: () => (timer ? stop() : begin()) },
    "Pause",
  );
  const pace = h(
    "select",
    {
      change: () => {
        speed = Number(pace.value);
      },
    },
    SPEEDS.map((factor) => h("option", { value: factor, selected: factor === 1 }, `${factor} ×`)),
  );
  const figures = h("div", { class: "figures" });
  const values = h("div", {});
  const components = h("div", {});
  const controls = h(
    "div",
    { class: "bar-of-controls" },
    h(
      "button",
      {
        type: "button",
        click: () => {
          stop();
          show(0);
        },
      },
      "To the start",
    ),
    h(
      "button",
      {
        type: "button",
        id: "back",
        click: () => {
          stop();
          show(at - 1);
        },
      },
      "One step back",
    ),
    toggle,
    h(
      "button",
      {
        type: "button",
        id: "forward",
        click: () => {
          stop();
          show(at + 1);
        },
      },
      "One step forward",
    ),
    h("label", {}, "Speed ", pace),
  );

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
      figure(
        at < steps ? "reward of this step" : "reward of the last step",
        written(episode.rewards[decision]),
      ),
      figure("return so far", written(returns[at])),
    );
    const [outputs, short] = isCloned(episode)
      ? ["logits of s", "logit"]
      : [isRescaled(episode) ? "Q(s, ·) on the scale h" : "Q(s, ·)", "Q"];
    values.replaceChildren(
      qTable(
        at < steps ? outputs : `${outputs} of the last decision`,
        episode.action_names,
        episode.q_values[decision],
        episode.actions[decision],
        "chosen",
        short,
      ),
    );
    components.replaceChildren(...(episode.num_components ? [stateTable(episode, at)] : []));
  }

  /** Shows the picture of this step and loads the next ones; `first` is the number of step 0. */
  function draw(image, first, words) {
    const path = (step) => `pieces/${name}/${first + step}`;
    image.src = path(at);
    image.alt = words;
    for (let next = at + 1; next <= Math.min(at + AHEAD, steps); next += 1)
      new Image().src = path(next);
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

  const element = h(
    "div",
    { class: "player" },
    h(
      "div",
      { class: "scene" },
      episode.pictures
        ? picture
        : note("This environment has no pictures; its numbers are shown here."),
      slider,
      controls,
      episode.seen_from != null ? sight : null,
    ),
    h("div", { class: "thoughts" }, figures, values, components),
    summary(episode),
  );
  show(0);
  return { element, begin, stop };
}

function figure(name, value) {
  return h("p", { class: "figure" }, h("span", { class: "quiet" }, name), h("b", {}, value));
}

function seenInWords({ frame_stack: stack }) {
  if (stack === 1) return "What the network sees";
  return `What the network sees: the newest ${stack} observations, the oldest first`;
}

function stateTable(episode, at) {
  const what = episode.frame_stack > 1 ? "the newest observation in s" : "the state s";
  const count = episode.component_names.length;
  const all = episode.num_components;
  return h(
    "table",
    { class: "state-table" },
    h("caption", {}, all > count ? `${what}: the first ${count} of ${written(all)} numbers` : what),
    h(
      "tbody",
      {},
      episode.component_names.map((component, number) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, component),
          h("td", { class: "number" }, written(episode.states[at][number])),
        ),
      ),
    ),
  );
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
  const scale = isRescaled(episode) ? " on that scale" : "";
  const comparison = episode.is_whole
    ? `; Q was ${written(Math.abs(off))} too ${off > 0 ? "high" : "low"}${scale}`
    : "; the episode did not terminate, so the two cannot be compared";
  const returnIsOf = episode.return_is_of && `, ${episode.return_is_of}`;
  return h(
    "section",
    { class: "summary", "aria-labelledby": "predicted" },
    h("h3", { id: "predicted" }, isCloned(episode) ? "The return" : "Predicted and actual return"),
    isCloned(episode)
      ? null
      : h(
          "p",
          { class: "formula" },
          "max Q(s₀, ·) = ",
          h("b", { id: "predicted-q" }, written(episode.predicted)),
          `; discounted return of the episode${returnIsOf} = `,
          h("b", { id: "followed" }, written(episode.discounted_return)),
          comparison,
        ),
    h(
      "p",
      {},
      `Undiscounted return ${written(episode.episode_return)} in `,
      `${counted(episode.actions.length, "step")}; ${episode.end}. `,
      `γ = ${episode.gamma}, checkpoint at ${tick(episode)} ${written(episode.env_steps)}, `,
      `reset seed ${episode.reset_seed}.`,
    ),
    episode.notices.map((text) => note(text)),
  );
}
