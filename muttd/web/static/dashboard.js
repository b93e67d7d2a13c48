// The dashboard: what comes in, what is decided, what goes out, and the newest events. It refreshes itself.

import { asQuery, get } from "/static/api.js";
import { columns, legend } from "/static/charts.js";
import { el, show, table } from "/static/dom.js";
import { eventRow, eventTable, filterForm, filtersOf, keepInAddress, nothing } from "/static/event_list.js";
import { ago, HANDLINGS, rate, SEVERITIES, short, time, whole } from "/static/words.js";

const EVENTS = 50;
const DAY = 86400000;
const FILTERED = ["host", "severity", "kind", "handling", "team", "text"];
const TALKERS = 8, TALKERS_EVERY = 5;

export const title = "Dashboard";

/** Draws the page; returns what refreshes it (called about every two seconds with the newest metrics). */
export function draw(main, live) {
  const flow = el("section", { class: "panel flow", "aria-label": "Flow of events" });
  const chart = el("div", { class: "chart-frame" });
  const talkers = el("div");
  let by = new URL(location.href).searchParams.get("by") === "kind" ? "kind" : "severity", minutes = null;
  const parts = el("div", { class: "switch", role: "group", "aria-label": "Group by" }, ["severity", "kind"].map((name) => el("button", { type: "button", "data-by": name, on: { click: () => { by = name; keepInAddress({ ...filters, by: by === "kind" ? by : null }); chosen(); } } }, name)));
  const chosen = () => {
    for (const button of parts.children) button.setAttribute("aria-pressed", String(button.dataset.by === by));
    if (minutes) drawChart(chart, key, minutes, by);
  };
  const key = el("div");
  const sources = el("div"), decided = el("div");
  const table = eventTable();
  const away = el("p", { class: "bad legend", role: "status" });
  const list = el("div");
  let filters = filtersOf(location.href, FILTERED), paused = false, known = new Set(), first = true;

  const pause = el("button", { type: "button", "aria-pressed": "false", on: { click: () => {
    paused = !paused;
    pause.textContent = paused ? "Resume" : "Pause";
    pause.setAttribute("aria-pressed", String(paused));
  } } }, "Pause");
  const more = el("a", { href: "/events" }, "Search all events");
  const form = filterForm(FILTERED, filters, (changed) => {
    filters = changed; first = true; known = new Set();
    keepInAddress({ ...filters, by: by === "kind" ? by : null });
    events().catch((error) => { away.textContent = `✕ ${error.message}`; });
  });

  show(main, el("h1", { class: "sr" }, "Dashboard"), flow,
    el("div", { class: "wide-left" },
      panel("Events decided, last hour", el("div", {}, chart, key), parts),
      panel("Receivers", sources)),
    el("div", { class: "columns" }, panel("Top talkers", talkers), panel("Decisions", decided)),
    el("section", { class: "panel", "aria-label": "Newest events" },
      el("div", { class: "heading" }, el("h2", {}, "Newest events"), el("div", { class: "actions" }, more, pause)),
      form, away, list));
  chosen();

  let waiting = null, turn = 0;
  /** What PostgreSQL knows. Nobody waits for it: it may be away while the figures above are new. */
  let asking = false;
  async function stored() {
    if (asking) return;
    asking = true;
    try {
      if (!paused) await events();
      if (turn++ % TALKERS_EVERY === 0) show(talkers, topTalkers(await get("/api/v1/sources")));
      away.textContent = "";
    } catch (error) {
      away.textContent = `✕ ${error.message} What is shown here is out of date.`;
    }
    asking = false;
  }
  async function events() {
    waiting?.abort();
    waiting = new AbortController();
    const filtered = Object.keys(filters).length > 0;
    more.setAttribute("href", `/events${asQuery(filters)}`);
    // A filter that fits rarely must not make PostgreSQL read months every two seconds.
    const since = filtered ? { from: new Date(Date.now() - DAY).toISOString() } : {};
    const page = await get("/api/v1/audit-logs", { limit: EVENTS, ...since, ...filters }, waiting.signal).catch((error) => {
      if (error.name === "AbortError") return null;
      throw error;
    });
    if (!page) return;
    if (!page.items.length) { show(list, nothing(filtered)); return; }
    const focused = table.body.contains(document.activeElement) ? document.activeElement.closest("tr")?.dataset.id : null;
    const news = page.items.filter((event) => !known.has(event.event_id)).length;
    const calm = !first && news <= EVENTS / 4; // a table that flashes as a whole says nothing
    show(table.body, page.items.map((event) => eventRow(event, calm && !known.has(event.event_id))));
    if (focused) table.body.querySelector(`[data-id="${CSS.escape(focused)}"] .open`)?.focus();
    known = new Set(page.items.map((event) => event.event_id));
    first = false;
    if (!list.contains(table.element)) show(list, table.element);
  }

  live(async (metrics) => {
    show(flow, ...stages(metrics));
    minutes = metrics.minutes;
    drawChart(chart, key, minutes, by);
    show(sources, receivers(metrics));
    show(decided, decisions(metrics));
    stored();
  });
}

const panel = (heading, body, beside = null) => el("section", { class: "panel", "aria-label": heading }, el("div", { class: "heading" }, el("h2", {}, heading), beside), body);

function stages({ rates, today, queues, oldest_waiting_seconds: waited, circuit }) {
  const figure = (name) => el("p", { class: "figure" }, rate(rates[name] ?? 0), el("small", {}, "/s"));
  const depth = (count) => el("p", { class: "figure" }, short(count));
  const lost = today.dropped ?? 0;
  const stage = (name, figureShown, lines, between = false) =>
    el("div", { class: between ? "stage between" : "stage" }, el("h2", {}, name), figureShown, el("ul", {}, lines.filter(Boolean).map((line) => el("li", {}, line))));
  return [
    stage("Received", figure("received"), [
      `${short(today.received ?? 0)} today`,
      (today.rejected ?? 0) > 0 ? `${short(today.rejected)} rejected` : null,
      el("span", { class: lost ? "bad" : "" }, lost ? `✕ ${whole(lost)} lost today` : "none lost today")]),
    stage("Waiting for a decision", depth(queues.ingest), [
      waited !== null ? `oldest ${ago(waited)}` : "nothing waiting",
      rates.queued ? `${rate(rates.queued)}/s queued` : null], true),
    stage("Decided", figure("decided"), [
      `${short(today.decided ?? 0)} today`, `${short(today.alerts ?? 0)} alerts`,
      queues.audit_backlog_rows ? el("span", { class: "warn" }, `${short(queues.audit_backlog_rows)} rows waiting for PostgreSQL`) : null,
      queues.unreadable ? el("span", { class: "warn" }, `${short(queues.unreadable)} unreadable`) : null]),
    stage("Waiting for delivery", depth(queues.alert), [
      queues.retry ? el("span", { class: "warn" }, `${short(queues.retry)} to retry`) : "nothing to retry",
      circuit.state === "closed" ? "circuit closed" : el("span", { class: "bad" }, `✕ circuit ${circuit.state}`)], true),
    stage("Delivered", figure("delivery:delivered"), [
      `${short(today["delivery:delivered"] ?? 0)} today`,
      queues.dead_letters ? el("a", { class: "bad", href: "/delivery" }, `${short(queues.dead_letters)} ${queues.dead_letters === 1 ? "dead letter" : "dead letters"}`) : "no dead letters"]),
  ];
}

const KINDS = { syslog: "fill5", trap: "fill3", relay: "fill6" };

function drawChart(place, key, minutes, by) {
  const none = minutes.stamps.map(() => 0);
  const series = (by === "kind" ? Object.entries(KINDS).map(([name, fill]) => ({ name, fill, counts: minutes.counts[`kind:${name}`] ?? none })) : [...SEVERITIES.map((name, index) => ({ name, fill: `fill${index}`, counts: minutes.counts[`severity:${index}`] ?? none })),
    { name: "no severity", fill: "filln", counts: minutes.counts["severity:none"] ?? none }])
    .filter((one) => one.counts.some(Boolean));
  columns(place, minutes.stamps, series);
  show(key, series.length ? legend(series) : el("p", { class: "legend" }, "Nothing was decided in the last hour."));
}

const NAMES = { syslog_udp: "syslog UDP", syslog_tcp: "syslog TCP", syslog_tls: "syslog TLS", snmp_udp: "SNMP UDP", relay: "relays (HTTPS)" };

function receivers({ rates, today, workers }) {
  const listeners = [...new Set(Object.keys(today).filter((name) => name.startsWith("received:")).map((name) => name.split(":")[1]))].sort();
  const lost = (listener) => Object.entries(today).filter(([name]) => name.startsWith(`dropped:${listener}:`));
  const rejected = (listener) => sum(Object.entries(today).filter(([name]) => name.startsWith(`rejected:${listener}:`)));
  const sum = (entries) => entries.reduce((all, [, count]) => all + count, 0);
  const rows = listeners.map((listener) => {
    const gone = lost(listener);
    return el("tr", {}, el("th", { scope: "row" }, NAMES[listener] ?? listener),
      el("td", {}, rate(rates[`received:${listener}`] ?? 0)),
      el("td", { class: sum(gone) ? "bad" : null, title: gone.map(([name, count]) => `${name.split(":")[2]}: ${whole(count)}`).join("\n") }, whole(sum(gone))),
      el("td", {}, short(rejected(listener))), el("td", {}, short(today[`received:${listener}`] ?? 0)));
  });
  const alive = Object.entries(workers.reduce((all, worker) => ({ ...all, [worker.role]: (all[worker.role] ?? 0) + 1 }), {}));
  return [
    rows.length ? table(["Receiver", ["Per second", "number"], ["Lost", "number"], ["Rejected", "number minor"], ["Today", "number"]], rows, { cards: false, label: "By receiver" }) : el("p", { class: "empty" }, "Nothing was received today (UTC)."),
    el("p", { class: "quiet legend" }, alive.length ? `Running: ${alive.map(([role, count]) => `${count} ${role}${count === 1 ? "" : "s"}`).join(", ")}` : "No process is reporting."),
  ];
}

/** One name and its address; of a sender with many names, as relays are, the address and one of them. */
function sender(one) {
  const name = el("a", { href: `/events${asQuery({ host: one.hostname })}` }, one.hostname);
  if (one.hostnames > 1) return [`${one.source_ip} `, el("span", { class: "quiet" }, `${whole(one.hostnames)} names, such as `, name)];
  return [name, el("span", { class: "quiet" }, one.hostname === one.source_ip ? "" : ` ${one.source_ip}`)];
}

/** Who sends most, among the newest events. */
function topTalkers({ events, seconds, items }) {
  if (!events) return el("p", { class: "empty" }, "Nothing has been received in the last day.");
  return [table(["Sender", ["Per second", "number"], ["Share", "number"], ["Repaired", "number minor"], ["Last", "number minor"]], items.slice(0, TALKERS).map((one) => el("tr", {},
    el("th", { scope: "row" }, ...sender(one)),
    el("td", {}, rate(one.rate)), el("td", {}, `${Math.round((one.events / events) * 100)} %`),
    el("td", { title: "Events in which the parser had to repair something" }, one.defective ? whole(one.defective) : "–"), el("td", {}, time(one.last_seen)))), { cards: false }),
  el("p", { class: "quiet legend" }, `The newest ${whole(events)} events, over ${ago(seconds)}, from ${whole(items.length)} ${items.length === 1 ? "sender" : "senders"}.`)];
}

function decisions({ rates, today }) {
  const found = Object.keys(HANDLINGS).filter((name) => today[`handling:${name}`]);
  if (!found.length) return el("p", { class: "empty" }, "Nothing was decided today (UTC).");
  return table(["Handling", ["Per second", "number"], ["Today", "number"]], found.map((name) => el("tr", {},
    el("th", { scope: "row" }, el("a", { href: `/events${asQuery({ handling: name })}` }, HANDLINGS[name])), el("td", {}, rate(rates[`handling:${name}`] ?? 0)), el("td", {}, whole(today[`handling:${name}`])))), { cards: false });
}

/** Where one sees more of an alarm. */
const WHERE = { loss: "/status", late: "/status", audit_backlog: "/status", circuit: "/delivery", dead_letters: "/delivery", no_listener: "/status", no_alerter: "/status", no_forwarder: "/status" };

/** Alarms, on every page. Only what changes is drawn again: a screen reader must not repeat itself. */
export function alarmList(place, alarms) {
  const wanted = JSON.stringify(alarms.map((alarm) => [alarm.code, alarm.title, alarm.detail]));
  if (place.dataset.shown === wanted) return;
  place.dataset.shown = wanted;
  show(place, alarms.map((alarm) => el("div", { class: `alarm ${alarm.level}` },
    el("span", { class: "level" }, alarm.level), el("strong", {}, alarm.title),
    alarm.since ? el("span", { class: "when quiet" }, { loss: "last at ", stale: "as of " }[alarm.code] ?? "since ", time(alarm.since)) : null,
    el("p", {}, alarm.detail, WHERE[alarm.code] ? [" ", el("a", { href: WHERE[alarm.code] }, "Details")] : null))));
}
