// Unhandled: kinds of events that no rule matches, each with a rule to begin with.

import { get, may } from "/static/api.js";
import { el, empty, show, table } from "/static/dom.js";
import { edit } from "/static/rules.js";
import { severity, whole } from "/static/words.js";

export const title = "Unhandled";

export function draw(main) {
  const place = el("div");
  async function load() {
    try {
      const { items } = await get("/api/v1/unhandled");
      show(place, items.length ? table(["Host", "Severity", "Kind of message", ["In this window", "number"], ["Total", "number"], ""],
        items.map((item) => el("tr", {}, el("th", { scope: "row" }, item.host), el("td", {}, severity(item.sample.syslog_severity)),
          el("td", { class: "message" }, el("div", {}, item.template), el("div", { class: "quiet" }, "for example: ", item.sample.message)), el("td", {}, whole(item.count)), el("td", {}, whole(item.total)),
          el("td", {}, may("editor") ? el("button", { type: "button", on: { click: () => edit({ ...item.draft, sample: item.sample }, load) } }, "Draft a rule") : null))))
        : empty("Every recent event was matched by a rule.", el("p", {}, "Kinds of events that no rule matches appear here, each with a draft of a rule.")));
    } catch (error) { show(place, el("p", { class: "empty" }, error.message)); }
  }
  show(main, el("section", { class: "panel" }, el("div", { class: "heading" }, el("h1", {}, "Unhandled"), el("p", { class: "quiet" }, "Grouped by host and kind of message; # stands for the parts that differ.")), place));
  load();
}
