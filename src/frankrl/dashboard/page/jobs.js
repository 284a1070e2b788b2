// The published runs: which machine writes each of them, and how far it is.

import { ask, newest } from "./ask.js";
import { arrange, h, note, setText, written } from "./dom.js";

const COLUMNS = [
  "job",
  "status",
  "lease",
  "node",
  "processor",
  "fencing number",
  "newest checkpoint",
  "bits",
];
const NUMBERS = new Set(["fencing number"]);
const AGAIN_MS = 2_000;

/** The view; returns what to do on a change and on leaving. */
export function jobs(place) {
  const asking = newest();
  const message = h("div", {}, note("Looking for published runs …"));
  const body = h("tbody");
  const lines = new Map();
  const head = h(
    "thead",
    {},
    h(
      "tr",
      {},
      COLUMNS.map((title) => h("th", { scope: "col", class: classOf(title) }, title)),
    ),
  );
  const table = h(
    "div",
    {
      class: "scrolling",
      role: "region",
      tabindex: 0,
      "aria-label": "Table of jobs",
      hidden: true,
    },
    h("table", { class: "jobs-table" }, head, body),
  );
  const limit = h("p", { class: "note", hidden: true });
  place.replaceChildren(
    h("h2", {}, "Jobs"),
    h(
      "p",
      { class: "quiet" },
      "Runs that are published on shared storage. The process that holds a run's lease writes it; ",
      "once the lease has expired, another one may take the run over with a larger fencing number.",
    ),
    message,
    table,
    limit,
  );
  let again = 0;
  let left = false;

  async function look() {
    try {
      const payload = await asking.run((signal) => ask("jobs", signal));
      if (left || !payload) return;
      draw(payload);
    } catch (error) {
      if (left) return;
      message.replaceChildren(note(error.message));
    }
    again = setTimeout(look, AGAIN_MS);
  }

  function draw(payload) {
    const rows = [...payload.jobs].sort(
      (a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name, "en", { numeric: true }),
    );
    if (!rows.length)
      message.replaceChildren(
        note("There is no published run here. Publish one with frank train --publish."),
      );
    else if (message.firstChild) message.replaceChildren();
    table.hidden = !rows.length;
    limit.hidden = !payload.limit;
    limit.textContent = `There are more: the first ${written(payload.limit)} are shown.`;
    arrange(body, rows.map(line));
  }

  function line(job) {
    if (!lines.has(job.id))
      lines.set(
        job.id,
        h(
          "tr",
          {},
          h("th", { scope: "row" }),
          COLUMNS.slice(1).map((title) => h("td", { class: classOf(title) })),
        ),
      );
    const element = lines.get(job.id);
    const texts = textsOf(job);
    for (const [number, text] of texts.entries()) setText(element.cells[number], text);
    element.cells[1].className = `state ${symbolOf(job)}`;
    return element;
  }

  look();
  return {
    update() {},
    leave() {
      left = true;
      asking.stop();
      clearTimeout(again);
    },
  };
}

/** Running jobs first, then those that wait for somebody, then the finished ones. */
function rank(job) {
  if (job.error) return 0;
  return job.finished ? 3 : { expired: 1, unknown: 1, held: 2 }[job.lease];
}

function symbolOf(job) {
  if (job.error || (!job.finished && job.lease === "expired")) return "broken-off";
  return !job.finished && job.lease === "held" ? "running" : "";
}

function textsOf(job) {
  if (job.error) return [job.name, "cannot be read", job.error, "", "", "", "", ""];
  const status = job.finished
    ? "finished"
    : { held: "running", expired: "free to be taken over", unknown: "perhaps running" }[job.lease];
  const lease = { held: "held", expired: "expired", unknown: "past its time; clocks may differ" }[
    job.lease
  ];
  const checkpoint =
    job.env_steps == null
      ? "none yet"
      : `env step ${written(job.env_steps)}, ${lasted(job.published_seconds)} ago`;
  return [
    job.name,
    status,
    job.finished ? "–" : `${lease}, renewed ${lasted(job.renewed_seconds)} ago`,
    `${job.host}, process ${job.pid}`,
    job.cpu,
    String(job.fence),
    checkpoint,
    job.differences.length ? `not exact: ${job.differences.join("; ")}` : "exact",
  ];
}

function lasted(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

function classOf(title) {
  return NUMBERS.has(title) ? "number" : null;
}
