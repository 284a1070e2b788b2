// The page: one stream of events, a table of runs, one view at a time.

import { alarms } from "./alarms.js";
import { h } from "./dom.js";
import { learning } from "./learning.js";
import { showRuns } from "./runs.js";
import { VIEWS, choose, onChange, readAddress, state, takeRows } from "./state.js";
import { update } from "./update.js";
import { watch } from "./watch.js";

const MAKERS = { learning, watch, update, alarms };
const connection = document.getElementById("connection");
const place = document.getElementById("view");
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
  view.update();
}

function showLinks() {
  document.getElementById("views").replaceChildren(...Object.entries(VIEWS).map(([name, title]) =>
    h("li", {}, h("button", {
      type: "button", id: `view-${name}`, "aria-current": state.view === name ? "page" : null,
      click: () => {
        choose({ view: name });
        document.getElementById(`view-${name}`).focus();
      },
    }, title))));
}

function listen() {
  const events = new EventSource("events");
  events.addEventListener("open", () => { connection.textContent = "live"; });
  events.addEventListener("message", (event) => takeRows(JSON.parse(event.data)));
  events.addEventListener("error", () => {
    connection.textContent = "not connected: is frank dashboard still running? The page tries again by itself";
  });
}

readAddress();
showRuns();
onChange(show);
addEventListener("hashchange", () => { readAddress(); choose({}); });
show();
listen();
