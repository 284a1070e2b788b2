// The page: one stream of events, a table of runs, one view at a time.

import { h } from "./dom.js";
import { jobs } from "./jobs.js";
import { learning } from "./learning.js";
import { showRuns } from "./runs.js";
import { settings } from "./settings.js";
import { choose, onChange, readAddress, state, takeRows, VIEWS } from "./state.js";
import { sweep } from "./sweep.js";
import { showSweeps } from "./sweeps.js";
import { update } from "./update.js";
import { warnings } from "./warnings.js";
import { watch } from "./watch.js";

const MAKERS = { learning, watch, update, settings, warnings, sweep, jobs };
const connection = document.getElementById("connection");
const place = document.getElementById("view");
const AGAIN_MS = 5_000;
let shown = "";
let view = null;

function show() {
  if (shown !== state.view) {
    view?.leave();
    shown = state.view;
    place.replaceChildren();
    view = MAKERS[shown](place);
    showLinks();
  }
  // Two views are for what not every folder holds.
  for (const [name, count] of [
    ["sweep", state.sweeps.size],
    ["jobs", state.jobs],
  ]) {
    document.getElementById(`view-${name}`).parentElement.hidden = !count && shown !== name;
  }
  view.update();
}

function showLinks() {
  document.getElementById("views").replaceChildren(
    ...Object.entries(VIEWS).map(([name, title]) =>
      h(
        "li",
        {},
        h(
          "button",
          {
            type: "button",
            id: `view-${name}`,
            "aria-current": state.view === name ? "page" : null,
            click: () => {
              choose({ view: name });
              document.getElementById(`view-${name}`).focus();
            },
          },
          title,
        ),
      ),
    ),
  );
}

function listen() {
  const events = new EventSource("events");
  events.addEventListener("open", () => {
    connection.textContent = "live";
  });
  events.addEventListener("message", (event) => takeRows(JSON.parse(event.data)));
  events.addEventListener("error", async () => {
    connection.textContent = "not connected; the page keeps trying";
    const why = await reason();
    if (events.readyState !== EventSource.OPEN && why)
      connection.textContent = `not connected: ${why} The page keeps trying`;
    // The browser reopens a stream that breaks, but not one that the server refused.
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS);
  });
}

/** Why there is no stream: the server's message, if the server answers. */
async function reason() {
  const asking = new AbortController();
  try {
    const response = await fetch("events", { signal: asking.signal });
    if (response.ok) return "";
    const text = await response.text();
    return `${text.startsWith("{") ? JSON.parse(text).error : text}.`.replace("..", ".");
  } catch {
    return "is frank dashboard still running?";
  } finally {
    asking.abort();
  }
}

readAddress();
showSweeps();
showRuns();
onChange(show);
addEventListener("hashchange", () => {
  readAddress();
  choose({});
});
show();
listen();
