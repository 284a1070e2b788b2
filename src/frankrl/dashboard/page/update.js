// One update, explained as by `frank explain`.

import { newest, work } from "./ask.js";
import { counted, h, note, qTable, tick, written } from "./dom.js";
import { progress, runChoice } from "./run_choice.js";
import { focused, state } from "./state.js";

/** The view; returns what to do on a change and on leaving. */
export function update(place) {
  const working = newest();
  const choice = h("div", { class: "bar-of-controls" });
  const content = h("div", {});
  const slider = h("input", {
    type: "range",
    min: 1,
    max: 1,
    value: 1,
    id: "update-slider",
    "aria-label": "update",
  });
  const number = h("input", { type: "number", min: 1, max: 1, value: 1, id: "update-number" });
  let of = null;
  slider.addEventListener("input", () => {
    number.value = slider.value;
  });
  slider.addEventListener("change", () => open());
  number.addEventListener("input", () => {
    slider.value = number.value;
  });
  number.addEventListener("keydown", (event) => {
    if (event.key === "Enter") open();
  });
  const controls = h(
    "div",
    { class: "bar-of-controls" },
    h("label", {}, "Update ", number),
    h("span", { class: "wide-slider" }, slider),
    h("button", { type: "button", id: "open-update", click: () => open() }, "Open"),
  );
  place.replaceChildren(h("h2", {}, "Open an update"), choice, controls, content);

  function refresh() {
    const row = focused();
    const reached = row?.updates ?? 0;
    controls.hidden = reached === 0;
    slider.max = number.max = Math.max(reached, 1);
    const options = choice.querySelector("select")?.options.length;
    if (of === state.focus && options === state.selected.length && reached > 0) return;
    choice.replaceChildren(runChoice());
    if (of !== state.focus || reached === 0) {
      working.stop();
      slider.value = number.value = Math.max(1, Math.floor(reached / 2));
      content.replaceChildren(row ? emptyText(row, reached) : "");
    }
    of = reached > 0 ? state.focus : null;
  }

  async function open() {
    if (!state.focus) return;
    const bar = progress("Recomputing the update", tick(focused()));
    content.replaceChildren(bar.element);
    try {
      const path = `update/${state.focus}?number=${encodeURIComponent(number.value)}`;
      const answer = await working.run((signal) => work(path, signal, bar.report));
      if (answer) content.replaceChildren(opened(answer.name, answer.result));
    } catch (error) {
      content.replaceChildren(note(error.message));
    }
  }

  return { update: refresh, leave: () => working.stop() };
}

function emptyText(row, reached) {
  if (row.note) return note(row.note);
  if (reached)
    return note(
      `Choose one of ${counted(reached, "update")}. Frank loads the nearest checkpoint before it `,
      "and repeats the training from there, to the same bits.",
    );
  if (row.clock === "updates") return note("This run has no updates yet.");
  const start = written(row.learning_starts ?? 0);
  return note(`This run has no updates yet: learning starts at env step ${start}.`);
}

function opened(name, result) {
  const { record } = result;
  const prediction = h("div", { class: "prediction" });
  const narrative = h("div", { class: "narrative" });
  const transition = h(
    "select",
    { id: "transition", change: () => follow(Number(transition.value)) },
    result.names.map((name, place) => h("option", { value: place }, name)),
  );
  const all = record.losses.length;
  const some = result.followed < all ? ` (the first ${result.followed} of ${all})` : ` of ${all}`;

  const asking = newest();

  async function follow(place) {
    prediction.replaceChildren(...predictions(result, place));
    try {
      const page = await asking.run(async (signal) => {
        const response = await fetch(`pieces/${name}/${place}`, { signal });
        if (!response.ok) throw new Error((await response.json()).error);
        return response.text();
      });
      if (page) narrative.replaceChildren(...parsed(page, name));
    } catch (error) {
      narrative.replaceChildren(note(error.message));
    }
  }

  follow(0);
  return h(
    "div",
    {},
    h("h3", { id: "update-title" }, result.title),
    result.notices.map((text) => note(text)),
    h("label", {}, "Transition ", transition, some),
    prediction,
    narrative,
  );
}

/** The nodes of a transition's page; its pictures are files of the same result, named by number. */
function parsed(page, name) {
  const { body } = new DOMParser().parseFromString(page, "text/html");
  for (const picture of body.querySelectorAll("img")) {
    picture.setAttribute("src", `pieces/${name}/${picture.getAttribute("src")}`);
  }
  return body.childNodes;
}

/** The Q-values of both networks, and the two values that the loss compares. */
function predictions({ record, action_names: names }, place) {
  const action = record.batch.action[place];
  if (record.logits) {
    return [
      h(
        "section",
        { "aria-labelledby": "prediction-title" },
        h("h3", { id: "prediction-title" }, "The cloned policy"),
        h(
          "p",
          { class: "formula" },
          `π(${names[action]} | s) = `,
          h("b", { id: "probability" }, written(record.policy[place][action])),
          "; loss ",
          h("b", { id: "loss" }, written(record.losses[place])),
        ),
        qTable("logits of s", names, record.logits[place], action, "taken", "logit"),
      ),
    ];
  }
  const qValues = record.q_values[place];
  const nextQValues = record.target_q_values[place];
  const policy = record.next_policy[place];
  const best = policy.indexOf(Math.max(...policy));
  return [
    h(
      "section",
      { "aria-labelledby": "prediction-title" },
      h("h3", { id: "prediction-title" }, "What the Q-network predicts"),
      h(
        "p",
        { class: "formula" },
        `Q-network, in s: Q(s, ${names[action]}) = `,
        h("b", { id: "q-value" }, written(record.chosen_q[place])),
      ),
      qTable("Q(s, ·; θ)", names, qValues, action, "taken"),
    ),
    h(
      "section",
      { "aria-labelledby": "target-title" },
      h("h3", { id: "target-title" }, "The target"),
      h(
        "p",
        { class: "formula" },
        "target: y = ",
        h("b", { id: "target" }, written(record.targets[place])),
        "; y − Q(s, a) = ",
        h("b", { id: "td-error" }, written(record.td_errors[place])),
        "; loss ",
        h("b", { id: "loss" }, written(record.losses[place])),
      ),
      qTable(
        record.following_returns
          ? "the same network, in s′: Q(s′, ·; θ)"
          : "target network, in s′: Q(s′, ·; θ⁻)",
        names,
        nextQValues,
        best,
        "used",
      ),
    ),
  ];
}
