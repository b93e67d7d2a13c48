// Status: every process of mutt, what it needs, and whether its books balance.

import { get } from "/static/api.js";
import { el, empty, show, table } from "/static/dom.js";
import { ago, time, whole } from "/static/words.js";

export const title = "Status";

const LEDGER_EVERY = 15000;
const SOON = 30 * 86400;

export function draw(main, live) {
  const parts = el("dl", { class: "facts" }), workers = el("div"), books = el("div"), range = el("p", { class: "quiet" });
  const panel = (name, ...content) => el("section", { class: "panel", "aria-label": name }, el("div", { class: "heading" }, el("h2", {}, name), content.length > 1 ? content.shift() : null), ...content);
  show(main, el("h1", { class: "sr" }, "Status"),
    el("div", { class: "wide-right" }, panel("Services", el("div", { class: "body" }, parts)), panel("Processes", workers)),
    panel("Ledger", range, books));
  let asked = 0;
  live(async () => {
    const found = await get("/api/v1/status");
    show(parts, services(found).filter(Boolean).map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]).flat());
    show(workers, processes(found.workers ?? []));
    if (Date.now() - asked < LEDGER_EVERY || found.components.redis !== "ok") return;
    asked = Date.now();
    const ledger = await get("/api/v1/ledger");
    show(range, "From ", time(ledger.since), " to ", time(ledger.until), " ", ledger.balanced
      ? el("span", { class: "good" }, "✓ balanced") : el("span", { class: "bad" }, "✕ not balanced"));
    show(books, stations(ledger));
  });
}

function services(found) {
  const well = (words) => el("span", { class: "good" }, `✓ ${words}`), bad = (words) => el("span", { class: "bad" }, `✕ ${words}`);
  const state = (words) => (words === "ok" ? well("ok") : bad(words));
  const { circuit, queues, budget, partition_runway_days: runway } = found;
  const lost = Object.entries(found.lost_today ?? {});
  const ends = (at) => [el("span", { class: at - Date.now() / 1000 < SOON ? "warn" : "" }, `expires in ${ago(Math.max(0, at - Date.now() / 1000))}`), " (", time(at, true), ")"];
  return [
    ["Version", found.version], ["Redis", state(found.components.redis)], ["PostgreSQL", state(found.components.postgresql)],
    circuit ? ["Moog", circuit.state === "closed" ? well("alerts flow") : bad(`circuit ${circuit.state}: ${circuit.reason}`)] : null,
    budget ? ["Rate budget", `${whole(budget.used)} of ${whole(budget.limit)} in ${budget.period} s`] : null,
    queues ? ["Waiting", `${whole(queues.ingest)} for a decision, ${whole(queues.alert)} for delivery, ${whole(queues.audit_backlog_rows)} audit rows`] : null,
    found.spooled === undefined ? null : ["On disk", found.spooled ? el("span", { class: "warn" }, `${whole(found.spooled)} events wait in spools for Redis`) : well("no events in spools")],
    ["Lost today", lost.length ? el("ul", { class: "plain-list bad" }, lost.map(([name, count]) => el("li", {}, `✕ ${whole(count)}: ${name.replace(":", ", ")}`))) : well("nothing")],
    runway === undefined ? null : ["Audit log", el("span", { class: runway < 14 ? "warn" : "" }, `partitions ready for ${Math.floor(runway)} days`)],
    ...Object.entries(found.certificates ?? {}).map(([name, at]) => [`Certificate ${name}`, ends(at)]),
    found.vault_lease_end ? ["Vault token", ends(found.vault_lease_end)] : null,
  ];
}

function processes(list) {
  if (!list.length) return empty("No process is reporting.", el("p", {}, "Start `muttd`, `muttd alerter` and `muttd forwarder`."));
  return table(["Role", "Name", "Status", ["Version", "minor"], ["Started", "minor nowrap"], ["Last heard", "number"]], list.map((one) => el("tr", {},
    el("th", { scope: "row" }, one.role), el("td", {}, one.name), el("td", { class: "message" }, one.status || "running"), el("td", {}, one.version ?? "–"), el("td", {}, time(one.started)),
    el("td", { title: `Considered gone in ${ago(one.ttl)}.` }, one.age === null ? "–" : `${ago(one.age)} ago`))), { cards: false, label: "Processes" });
}

/** The books: what each station had at the opening, what came in, what went out, what it has at the closing. */
function stations(ledger) {
  const told = (counts) => {
    const found = Object.entries(counts).filter(([, count]) => count);
    return found.length ? el("ul", { class: "plain-list" }, found.map(([name, count]) => el("li", {}, el("span", { class: "amount" }, whole(count)), ` ${name}`))) : null;
  };
  return table(["Stage", "Opening", "In", "Out", "Closing", "Missing"], ledger.stations.map((one) => el("tr", { class: "books" }, el("th", { scope: "row" }, one.name), el("td", {}, told(one.before)), el("td", {}, told(one.came)), el("td", {}, told(one.went)), el("td", {}, told(one.now)),
    el("td", { class: one.missing ? "bad" : "good" }, one.missing ? `✕ ${whole(one.missing)}` : "✓ none"))), { label: "Ledger" });
}
