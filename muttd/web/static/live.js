// Live: what is decided right now. A sample where there is too much for eyes, and it says of how much.

import { asQuery } from "/static/api.js";
import { el, empty, show } from "/static/dom.js";
import { eventRow, eventTable, filterForm, filtersOf, keepInAddress, TRY_IT } from "/static/event_list.js";
import { rate, whole } from "/static/words.js";

const ROWS = 300; // more than one scrolls through
const READABLE = 5000; // milliseconds that the notice of a slow connection stays, though events come all the time
const NAMES = ["host", "text", "severity", "kind", "handling"];

export const title = "Live";

/** Draws the page; returns what ends it. */
export function draw(main) {
  const table = eventTable();
  const list = el("div", { class: "live" }), figures = el("dl", { class: "figures" }), state = el("p", { class: "quiet", role: "status" });
  let filters = filtersOf(location.href, NAMES);
  let source = null, paused = false, waiting = [], passed = 0;
  let trouble = "", since = 0; // what is wrong; shown until events or rates come, and READABLE after `since`

  const pause = el("button", { type: "button", class: "primary", "aria-pressed": "false", title: "Space", on: { click: () => setPaused(!paused) } }, "Pause");
  const clear = el("button", { type: "button", on: { click: () => { waiting = []; passed = 0; table.body.replaceChildren(); nothing(); tell(); } } }, "Clear the list");
  const form = filterForm(NAMES, filters, (changed) => { filters = changed; keepInAddress(filters); waiting = []; passed = 0; table.body.replaceChildren(); listen(); });

  function setPaused(wanted) {
    paused = wanted;
    pause.textContent = paused ? "Resume" : "Pause";
    pause.setAttribute("aria-pressed", String(paused));
    if (!paused) { add(waiting); waiting = []; passed = 0; }
    tell();
  }

  function tell() {
    const words = trouble || (paused ? `Paused${passed ? `: ${whole(passed)} new ${passed === 1 ? "event" : "events"}` : ""}` : "");
    if (state.textContent !== words) state.textContent = words;
  }

  function say(what, from = 0) {
    trouble = what;
    since = from;
    tell();
  }

  function comes() {
    if (trouble && Date.now() - since > READABLE) say("");
  }

  function add(events) {
    if (!events.length) return;
    if (!list.contains(table.element)) show(list, table.element);
    table.body.prepend(...events.map((event) => eventRow(event)).reverse());
    while (table.body.children.length > ROWS) table.body.lastElementChild.remove();
  }

  function nothing() {
    const filtered = Object.keys(filters).length > 0;
    show(list, empty(filtered ? "Waiting for an event that matches." : "Waiting for the next event.",
      el("p", {}, filtered ? "Remove a filter to see more, or search past events under Events." : "Point a device's syslog or traps here, or send one yourself:"),
      filtered ? null : el("code", {}, TRY_IT)));
  }

  function listen() {
    source?.close();
    nothing();
    say("");
    source = new EventSource(`/api/v1/events/live${asQuery(filters)}`);
    source.addEventListener("events", ({ data }) => {
      comes();
      const events = JSON.parse(data);
      if (!paused) { add(events); return; }
      passed += events.length;
      waiting = [...waiting, ...events].slice(-ROWS);
      tell();
    });
    source.addEventListener("rate", ({ data }) => { comes(); tellRate(JSON.parse(data)); });
    source.addEventListener("missed", ({ data }) => say(`This connection is slow: ${whole(JSON.parse(data).events)} events were left out.`, Date.now()));
    source.addEventListener("away", ({ data }) => say(JSON.parse(data).detail));
    source.addEventListener("open", () => say(""));
    source.addEventListener("error", () => say(source.readyState === EventSource.CLOSED
      ? "The server refused: there are too many viewers, or it cannot use this filter." : "The connection was lost; trying again."));
  }

  function tellRate({ decided, looked, matched, shown }) {
    const filtered = Object.keys(filters).length > 0;
    const whole_share = decided > 0 && looked < decided ? `, of the ${Math.round((looked / decided) * 100)} % that were examined` : "";
    const hidden = Math.max(0, matched - shown);
    const figure = (name, value, more = "") => el("div", {}, el("dt", {}, name), el("dd", {}, rate(value), el("small", {}, ` /s${more}`)));
    show(figures, figure("Decided", decided), filtered ? figure("Match the filter", matched, whole_share) : null,
      figure("Shown", shown), figure("Not shown", filtered ? hidden : Math.max(0, decided - shown)));
  }

  const key = (event) => {
    if (event.key !== " " || event.target.closest?.("input, select, textarea, button, a, dialog")) return;
    event.preventDefault();
    setPaused(!paused);
  };
  document.addEventListener("keydown", key);

  show(main, el("section", { class: "panel" },
    el("div", { class: "heading" }, el("h1", {}, "Live"), state, el("div", { class: "actions" }, clear, pause)),
    form, figures, list));
  tellRate({ decided: 0, looked: 0, matched: 0, shown: 0 });
  listen();
  return () => { source.close(); document.removeEventListener("keydown", key); };
}
