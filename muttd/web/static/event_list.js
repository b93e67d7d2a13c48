// A list of events with its filters, and one event in full. The dashboard and the search are two uses of it.

import { asQuery, get } from "/static/api.js";
import { choice, dialog, el, empty, field, show, table } from "/static/dom.js";
import { delivery, handling, HANDLINGS, severity, SEVERITIES, time } from "/static/words.js";

const FILTERS = ["host", "severity", "kind", "handling", "team", "rule", "environment", "app", "text", "within", "from", "to"];
const WITHIN = [["", "any time"], ["900", "last 15 minutes"], ["3600", "last hour"], ["86400", "last 24 hours"], ["604800", "last 7 days"], ["2592000", "last 30 days"], ["between", "between …"]];
/** What to paste into a shell of this machine's neighbour. */
export const TRY_IT = `logger -n ${location.hostname} -P 514 -d -p local7.error "mutt test"`;
const COLUMNS = { time: "Time", severity: "Severity", host: "Host", kind: "Kind", message: "Message", rule: "Rule", handling: "Handling", team: "Team", delivery: "Delivery" };

/** The filters of these names that stand in the address. */
export function filtersOf(address, names = FILTERS) {
  const given = new URL(address).searchParams;
  return Object.fromEntries(names.filter((name) => given.get(name)).map((name) => [name, given.get(name)]));
}

/** The filters as the API takes them: it knows no "last hour". */
export function asAsked({ within, ...filters }) {
  return within > 0 ? { ...filters, from: new Date(Date.now() - within * 1000).toISOString() } : filters;
}

/** Writes `filters` (and what else is given) into the address without leaving the page. */
export function keepInAddress(filters) {
  history.replaceState(history.state, "", location.pathname + asQuery(filters));
}

/** The form; `changed` gets the filters whenever they change. `names` are those that are shown. */
export function filterForm(names, filters, changed) {
  const controls = {
    host: () => el("input", { id: "host", name: "host", placeholder: "core-1", value: filters.host ?? "", spellcheck: "false" }),
    text: () => el("input", { id: "text", name: "text", placeholder: "in the message", value: filters.text ?? "" }),
    team: () => el("input", { id: "team", name: "team", value: filters.team ?? "" }),
    app: () => el("input", { id: "app", name: "app", value: filters.app ?? "" }),
    rule: () => el("input", { id: "rule", name: "rule", inputmode: "numeric", pattern: "[0-9]*", placeholder: "id", value: filters.rule ?? "" }),
    severity: () => choice("severity", [["", "any"], ...SEVERITIES.map((name, index) => [String(index), name])], filters.severity),
    kind: () => choice("kind", [["", "any"], ["syslog", "syslog"], ["trap", "trap"], ["relay", "relay"]], filters.kind),
    handling: () => choice("handling", [["", "any"], ...Object.entries(HANDLINGS)], filters.handling),
    within: () => choice("within", WITHIN, filters.from || filters.to ? "between" : filters.within),
    environment: () => choice("environment", [["", "any"], ["prod", "prod"], ["dev", "dev"]], filters.environment),
    from: () => el("input", { id: "from", name: "from", type: "datetime-local", step: "1", value: local(filters.from) }),
    to: () => el("input", { id: "to", name: "to", type: "datetime-local", step: "1", value: local(filters.to) }),
  };
  const labels = { host: "Host", text: "Text", team: "Team", app: "Application", rule: "Rule", severity: "Severity", kind: "Kind", handling: "Handling", environment: "Environment", within: "When", from: "From", to: "Until" };
  const form = el("form", { class: "filters", role: "search", "aria-label": "Filter events" }, names.map((name) => field(labels[name], controls[name](), { long: name === "from" || name === "to" })));
  const between = ["from", "to"].map((name) => form.elements.namedItem(name)).filter(Boolean);
  const choose = () => { for (const one of between) one.parentElement.hidden = form.elements.namedItem("within").value !== "between"; };
  choose();
  let timer = 0;
  const read = () => {
    const found = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
    for (const name of ["from", "to"]) {
      if (found[name] && found.within === "between") found[name] = new Date(found[name]).toISOString();
      else delete found[name];
    }
    if (found.within === "between") delete found.within;
    return found;
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(timer); changed(read()); });
  form.addEventListener("input", () => {
    choose();
    clearTimeout(timer);
    timer = setTimeout(() => changed(read()), 300);
  });
  const clear = el("button", { type: "button", on: { click: () => { for (const control of form.elements) if (control.name) control.value = ""; choose(); changed({}); } } }, "Clear");
  form.append(el("div", { class: "actions" }, clear));
  return form;
}

function local(given) {
  if (!given) return "";
  const at = new Date(given);
  return new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}

/** An empty table; `rows` puts events into it. */
export function eventTable() {
  const body = el("tbody");
  const table = el("table", {},
    el("thead", {}, el("tr", {}, Object.entries(COLUMNS).map(([name, title]) => el("th", { scope: "col", class: `c-${name}` }, title)))), body);
  return { element: el("div", { class: "events" }, table), body };
}

/** One event as a row. */
export function eventRow(event, fresh = false) {
  const opened = () => openEvent(event.event_id);
  const cells = {
    time: el("button", { type: "button", class: "open", "aria-label": "Show this event" }, time(event.event_timestamp)),
    severity: severity(event.severity),
    host: event.hostname,
    kind: event.kind,
    message: el("div", {}, event.message),
    rule: event.rule_id === null ? el("span", { class: "quiet" }, "no rule") : event.rule_name ?? `rule ${event.rule_id}`,
    handling: handling(event.handling),
    team: event.team,
    delivery: delivery(event),
  };
  const row = el("tr", { class: fresh ? "link fresh" : "link", on: { click: opened } },
    Object.entries(cells).map(([name, content]) => el("td", { class: name, title: ["host", "rule", "team"].includes(name) && typeof content === "string" ? content : null }, content)));
  row.dataset.id = event.event_id;
  return row;
}

/** Shows one event in full, with its address, so that it can be sent to a colleague. */
export async function openEvent(id) {
  const address = new URL(location.href);
  address.searchParams.set("event", id);
  history.replaceState(history.state, "", address);
  const place = el("div", { class: "stack" }, el("p", { class: "quiet" }, "Loading…"));
  const explanation = el("div");
  const shown = dialog("Event", [place, explanation], { closed: () => {
    const back = new URL(location.href);
    back.searchParams.delete("event");
    history.replaceState(history.state, "", back);
  } });
  try {
    const found = await get(`/api/v1/events/${encodeURIComponent(id)}`);
    show(place, ...inFull(found));
    const why = el("button", { type: "button", on: { click: () => explain(id, explanation, why) } }, "Explain with the current rules");
    show(explanation, why);
  } catch (error) {
    show(place, el("p", { class: "refusal" }, error.message));
  }
  return shown;
}

function inFull(row) {
  const event = row.event;
  const facts = [
    ["Event time", time(row.event_timestamp, true)], ["Received", time(row.received_at, true)],
    row.device_timestamp ? ["Device time", time(row.device_timestamp, true)] : null,
    ["Host", row.hostname], ["From", `${event.source_ip} over ${event.transport}`],
    ["Severity", severity(row.severity)], ["Kind", row.kind], row.app_name ? ["Application", row.app_name] : null,
    event.trap_oid ? ["Trap", event.trap_name ? `${event.trap_name} (${event.trap_oid})` : event.trap_oid] : null,
    ["Rule", row.rule_id === null ? "no rule matched" : `${row.rule_name ?? "unnamed"} (${row.rule_id})`],
    ["Handling", handling(row.handling)], ["Team", row.team], ["Environment", row.environment],
    ["Delivery", delivery(row)], row.delivery?.reason ? ["Moog said", row.delivery.reason] : null,
    ["ID", el("code", {}, row.event_id)],
  ].filter(Boolean);
  return [
    el("pre", { tabindex: "0", "aria-label": "Message" }, row.message || "(empty message)"),
    el("dl", { class: "facts" }, facts.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]).flat()),
    event.varbinds?.length ? section("Variables", varbinds(event.varbinds)) : null,
    event.structured_data ? section("Structured data", pairs(event.structured_data)) : null,
    event.defects ? section("Repaired by the parser", el("ul", {}, event.defects.map((defect) => el("li", {}, defect)))) : null,
    event.raw ? section("As received", el("pre", { tabindex: "0", "aria-label": "Raw" }, event.raw)) : null,
  ];
}

const section = (title, content) => el("section", {}, el("h3", {}, title), content);

function varbinds(list) {
  return table(["OID", "Type", "Value"], list.map((one) => el("tr", {}, el("td", { class: "mono" }, one.name ?? one.oid), el("td", {}, one.type), el("td", {}, String(one.display ?? one.value ?? "")))), { label: "Variables" });
}

function pairs(data) {
  return Object.entries(data).map(([id, parameters]) => section(id, el("dl", { class: "facts" },
    Object.entries(parameters).map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]).flat())));
}

async function explain(id, place, button) {
  button.disabled = true;
  try {
    show(place, explanation(await get(`/api/v1/events/${encodeURIComponent(id)}/explain`)));
  } catch (error) {
    show(place, el("p", { class: "refusal" }, error.message));
  }
}

/** What rules make of an event. */
export function explanation(found, title = "The current rules") {
  const { decision, matched, missed, host } = found;
  return el("section", { class: "explained" }, el("h3", {}, title),
    el("p", {}, "Decision: ", handling(decision.handling), ` for team ${decision.team}, as a ${decision.environment} host. `,
      decision.forwarded ? "It becomes an alert." : "It is only stored."),
    found.stored && differs(found.stored, decision) ? el("p", { class: "warn" }, "It was decided differently when it arrived: ", handling(found.stored.handling), ` for team ${found.stored.team}, `,
      found.stored.rule ? `by ${named(found.stored.rule)}.` : "no rule matched.") : null,
    el("p", { class: "quiet" }, host.development_host ? `In development because of ${host.development_host}. ` : "No development host matches. ",
      host.team ? `The host's team comes from ${host.team}.` : "No team entry matches the host."),
    found.delivery ? el("div", {}, "Moog: ", tried(found.delivery)) : null,
    matched.length ? null : el("p", { class: "quiet" }, "No rule matches."),
    matched.map((one) => considered(one, one.verdict === "won" ? "decides" : "also matches, but an earlier rule decides")),
    missed.length ? el("details", {}, el("summary", {}, `${missed.length} ${missed.length === 1 ? "rule" : "rules"} nearly matched`), missed.map((one) => considered(one, "does not match"))) : null);
}

const named = (rule) => rule.name ?? `rule ${rule.id}`;
const differs = (then, now) => then.handling !== now.handling || then.team !== now.team || (then.rule?.id ?? null) !== (now.rule?.id ?? null);

/** What came of the attempts to deliver an alert. */
function tried(fact) {
  const words = { delivered: "delivered", retry: "will be retried", dead: "failed" }[fact.state] ?? fact.state;
  const earlier = (fact.earlier ?? []).map((one) => el("li", {}, time(one.time, true), `: ${one.status ? `HTTP ${one.status}` : "no answer"}${one.reason ? `, ${one.reason}` : ""}`));
  return [`${words} after ${fact.attempts} ${fact.attempts === 1 ? "attempt" : "attempts"}, the last `, time(fact.time, true),
    `: ${fact.status ? `HTTP ${fact.status}` : "no answer"}${fact.reason ? `, ${fact.reason}` : ""}`,
    earlier.length ? el("details", {}, el("summary", {}, `${earlier.length} earlier`), el("ul", { class: "samples" }, earlier)) : null];
}

function considered(one, words) {
  return el("div", { class: `considered ${one.verdict}` },
    el("p", {}, el("strong", {}, one.rule.name ?? `rule ${one.rule.id}`), ` (${one.rule.id || "draft"}, priority ${one.rule.priority ?? 100}) ${words}`),
    el("ul", {}, one.checks.map((check) => el("li", {}, el("span", { class: check.held ? "good" : "bad" }, check.held ? "✓ " : "✕ "),
      `${check.condition}: expected ${check.wanted}, found ${check.found}`))));
}

/** What to show instead of rows. */
export function nothing(filtered) {
  return filtered
    ? empty("No event matches these filters.", el("p", {}, "Remove one, or look further back in time."))
    : empty("No event has come in yet.", el("p", {}, "Point a device's syslog or traps here, or send one yourself:"), el("code", {}, TRY_IT));
}
