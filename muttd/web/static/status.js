// Status: every process of mutt and what it needs.

import { get } from "/static/api.js";
import { el, empty, show } from "/static/dom.js";
import { ago } from "/static/words.js";

export const title = "Status";

export function draw(main, live) {
  const parts = el("dl", { class: "facts" }), workers = el("div");
  show(main, el("h1", { class: "sr" }, "Status"), el("section", { class: "panel", "aria-label": "Services" }, el("div", { class: "heading" }, el("h2", {}, "Services")), el("div", { class: "body" }, parts)),
    el("section", { class: "panel", "aria-label": "Processes" }, el("div", { class: "heading" }, el("h2", {}, "Processes")), workers));
  live(async () => {
    const found = await get("/api/v1/status");
    const state = (words) => el("span", { class: words === "ok" ? "good" : "bad" }, words === "ok" ? "✓ ok" : `✕ ${words}`);
    const runway = found.partition_runway_days;
    show(parts, [["Version", found.version], ["Redis", state(found.components.redis)], ["PostgreSQL", state(found.components.postgresql)],
      runway === undefined ? null : ["Audit log", el("span", { class: runway < 14 ? "warn" : "" }, `has partitions for ${Math.floor(runway)} days`)],
      found.circuit ? ["Moog", state(found.circuit.state === "closed" ? "ok" : `circuit ${found.circuit.state}: ${found.circuit.reason}`)] : null,
    ].filter(Boolean).map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]).flat());
    const list = found.workers ?? [];
    show(workers, list.length ? el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ["Role", "Name", "Says"].map((name) => el("th", { scope: "col" }, name)), el("th", { scope: "col", class: "number" }, "Counts as gone in"))),
      el("tbody", {}, list.map((one) => el("tr", {}, el("th", { scope: "row" }, one.role), el("td", {}, one.name), el("td", { class: "message" }, says(one.status)), el("td", { class: "number" }, ago(one.ttl)))))))
      : empty("No process reports.", el("p", {}, "Start `muttd`, `muttd alerter` and `muttd forwarder`.")));
  });
}

/** What a process says of itself: JSON as `name value`, else as it stands. */
function says(status) {
  try {
    const told = JSON.parse(status);
    if (told && typeof told === "object") return Object.entries(told).map(([name, value]) => `${name} ${value}`).join(", ");
  } catch { /* not JSON */ }
  return status;
}
