// Events: search the audit log; the search stands in the address.

import { asQuery, get } from "/static/api.js";
import { el, show } from "/static/dom.js";
import { asAsked, eventRow, eventTable, filterForm, filtersOf, keepInAddress, nothing } from "/static/event_list.js";
import { whole } from "/static/words.js";

export const title = "Events";

export function draw(main) {
  const table = eventTable();
  const list = el("div"), state = el("p", { class: "quiet", role: "status" });
  const further = el("button", { type: "button", hidden: true, on: { click: () => page() } }, "Older events");
  let filters = filtersOf(location.href), next = null, asked = null, asking = {};

  const form = filterForm(["host", "text", "severity", "kind", "handling", "team", "rule", "app", "environment", "within", "from", "to"], filters, (changed) => {
    filters = changed;
    keepInAddress(filters);
    next = null;
    page();
  });

  async function page() {
    asked?.abort();
    asked = new AbortController();
    const beginning = next === null;
    if (beginning) asking = asAsked(filters);
    state.className = "quiet";
    state.textContent = "Searching…";
    try {
      const found = await get("/api/v1/audit-logs", { ...asking, before: next }, asked.signal);
      if (beginning) table.body.replaceChildren();
      table.body.append(...found.items.map((event) => eventRow(event)));
      next = found.next;
      further.hidden = next === null;
      const count = table.body.children.length;
      state.textContent = count ? `${whole(count)} ${count === 1 ? "event" : "events"}${next ? ", and there are older ones" : ""}` : "";
      show(list, count ? table.element : nothing(Object.keys(filters).length > 0));
    } catch (error) {
      if (error.name === "AbortError") return;
      state.className = "bad";
      state.textContent = `✕ ${error.message}`;
    }
  }

  // All that is found, not only what is shown.
  const file = (format, words) => el("a", { class: "button", href: "/api/v1/audit-logs/export", download: "",
    on: { click: (event) => { event.currentTarget.href = `/api/v1/audit-logs/export${asQuery({ ...asAsked(filters), format })}`; } } }, words);
  show(main, el("section", { class: "panel" },
    el("div", { class: "heading" }, el("h1", {}, "Events"), el("div", { class: "actions" }, state, file("csv", "CSV"), file("jsonl", "JSON lines"))), form, list,
    el("div", { class: "body actions" }, further)));
  page();
}
