// The panels of the learning curves: what each of them shows.

export const PANELS = [
  {
    key: "return",
    title: "Return",
    unit: "reward",
    text:
      "Sum of an episode's rewards: single episodes, their moving mean, and greedy evaluations " +
      "as markers.",
    evaluations: true,
    threshold: true,
  },
  {
    key: "length",
    title: "Episode length",
    unit: "env steps",
    text: "Env steps of each training episode, and their moving mean.",
  },
  { key: "epsilon", title: "ε", unit: "probability", text: "Probability of a random action." },
  {
    key: "loss",
    title: "Loss",
    unit: (reward) => `${reward}², or as set`,
    text: "Mean loss of a batch. The loss grows with the Q-values, so it need not fall.",
    marks: true,
  },
  {
    key: "q",
    title: "Q-values against the return",
    unit: (reward) => reward,
    parts: {
      mean_max_q: ["largest Q of a state", "solid"],
      mean_q: ["Q(s, a)", "dash"],
      discounted_return: ["discounted return (derived)", "dot"],
    },
    text:
      "Q-values above the discounted return are overestimates. The discounted return is derived " +
      "from the mean return and length of the last 100 episodes, assuming equal rewards at every " +
      "step.",
    marks: true,
  },
  {
    key: "td_error",
    title: "TD errors",
    unit: (reward) => reward,
    fan: [
      "td_error_min",
      "td_error_p05",
      "td_error_p25",
      "td_error_p50",
      "td_error_p75",
      "td_error_p95",
      "td_error_max",
    ],
    text:
      "Distribution of y − Q(s, a): the median, the middle 50 % (dark) and, with a single run, " +
      "the middle 90 % (light). Minimum and maximum are given as text below, because they would " +
      "hide the rest.",
    marks: true,
  },
  {
    key: "gradient_norm",
    title: "Gradient norm",
    unit: "gradient",
    text: "Global L2 norm of the gradient before clipping.",
    clip: true,
  },
  {
    key: "speed",
    title: "Speed",
    unit: "env steps/s",
    text:
      "Env steps per second since the previous row, or updates of a run that does not act; " +
      "an evaluation makes its interval slower.",
  },
  {
    key: "replay_fill",
    title: "Replay buffer",
    unit: "transitions",
    text: "Number of stored transitions, derived from env steps and capacity.",
  },
  {
    key: "sampled_age",
    title: "Age of sampled transitions",
    unit: "env steps",
    text:
      "Mean age of the transitions of a batch. With uniform sampling it is half the size of the " +
      "buffer.",
  },
];

/** The metrics that a panel draws. */
export function keysOf(panel) {
  return panel.fan ?? (panel.parts ? Object.keys(panel.parts) : [panel.key]);
}
