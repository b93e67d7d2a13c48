// A draft against the past: what it would have done with the events of a range.

import { stream } from "/static/api.js";
import { columns, legend } from "/static/charts.js";
import { choice, el, field, show, table } from "/static/dom.js";
import { handling, severity, time, whole } from "/static/words.js";

const RANGES = [["3600", "the last hour"], ["86400", "the last day"], ["604800", "the last 7 days"], ["2592000", "the last 30 days"]];

/** The panel; `read` gives the draft as the form has it, `failed` gets what is wrong with it. */
export function backTest(read, failed) {
  const range = choice("range", RANGES, "86400");
  const place = el("div", { class: "stack" }), state = el("p", { class: "quiet", role: "status" });
  const bar = el("progress", { max: "1", value: "0", hidden: true, "aria-label": "Events tested" });
  let running = null;

  const start = el("button", { type: "button", on: { click: () => (running ? running.abort() : run()) } }, "Run on past events");

  async function run() {
    running = new AbortController();
    start.textContent = "Stop";
    bar.hidden = false;
    bar.value = 0;
    show(place);
    const to = new Date(), from = new Date(to - Number(range.value) * 1000);
    try {
      await stream("/api/v1/rules/backtest", { rule: read(), from: from.toISOString(), to: to.toISOString() }, running.signal, (line) => {
        if (line.type === "progress") {
          bar.max = Math.max(1, line.of);
          bar.value = line.events;
          state.textContent = `${whole(line.events)} of ${whole(line.of)} events, ${whole(line.matched)} match`;
        } else if (line.type === "result") {
          failed(null);
          state.textContent = `${whole(line.events)} events in ${line.seconds.toFixed(1)} s`;
          show(place, ...outcome(line));
        } else state.textContent = line.detail;
      });
    } catch (error) {
      state.textContent = error.name === "AbortError" ? "Stopped." : error.message;
      if (error.problem) failed(error.problem);
    }
    running = null;
    bar.hidden = true;
    start.textContent = "Run on past events";
  }

  return {
    element: el("section", { class: "tester" }, el("h3", {}, "Back-test"),
      el("div", { class: "actions" }, field("Events from", range), start), bar, state, place),
    stop: () => running?.abort(),
  };
}

function outcome(found) {
  if (!found.matched) return [el("p", {}, "No event in this range matches.")];
  const rows = (title, heads, lines) => (lines.length ? table(heads.map((head, index) => [head, index ? "number" : ""]),
    lines.map((cells) => el("tr", {}, cells.map((cell, index) => (index ? el("td", {}, cell) : el("th", { scope: "row" }, cell))))), { cards: false, label: title, caption: title }) : null);
  const chart = el("div", { class: "chart-frame" });
  const series = [{ name: "would be alerts", fill: "fill3", counts: found.hours.map((hour) => hour.alerts) },
    { name: "match, no alert", fill: "fill6", counts: found.hours.map((hour) => hour.matched - hour.alerts) }];
  if (found.hours.length > 1) columns(chart, found.hours.map((hour) => hour.start), series, "an hour");
  return [
    el("p", {}, el("strong", {}, whole(found.matched)), ` ${found.matched === 1 ? "matches" : "match"}; this rule decides ${whole(found.decided)}, `, el("strong", {}, `making ${whole(found.alerts)} ${found.alerts === 1 ? "alert" : "alerts"}`),
      ` (before: ${whole(found.alerts_before)}).`,
      found.peak ? [" Most in one minute: ", el("strong", {}, whole(found.peak)), ", at ", time(found.peak_minute * 60), "."] : null),
    found.hours.length > 1 ? el("div", {}, chart, legend(series)) : null,
    rows(`Hosts (${whole(found.hosts_in_all)})`, ["Host", "Match", "Alerts"], found.hosts.slice(0, 15).map((one) => [one.host, whole(one.matched), whole(one.alerts)])),
    rows("How they were handled", ["Handling", "By rule", "Events"], found.decisions.map((one) => [handling(one.handling), one.rule_id === null ? "no rule" : one.rule_name ?? `rule ${one.rule_id}`, whole(one.events)])),
    rows("Other rules for the same events", ["Rule", "Loses", "Keeps"], found.overlaps.map((one) => [one.rule_name ?? `rule ${one.rule_id}`, whole(one.taken), whole(one.kept)])),
    found.samples.length ? el("details", {}, el("summary", {}, `${found.samples.length} of these events`), el("ul", { class: "samples" }, found.samples.map((one) =>
      el("li", {}, el("div", {}, time(one.time), " ", severity(one.severity), " ", el("strong", {}, one.host)), one.message)))) : null,
  ].filter(Boolean);
}
