// How things are said: times, numbers, severities, handlings, delivery.

import { el } from "/static/dom.js";

export const SEVERITIES = ["emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"];
export const HANDLINGS = {
  Page_and_ticket: "Page + ticket", Page_only: "Page", Ticket_only: "Ticket",
  Ignore: "Ignore", Suppress: "Suppress", Log_only: "Log only", unhandled: "unhandled",
};
export const FORWARDED = ["Page_and_ticket", "Page_only", "Ticket_only"];

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "2-digit" });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
const WHOLE = new Intl.NumberFormat();
const SHORT = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });

export const whole = (number) => WHOLE.format(number);
export const short = (number) => (number < 100000 ? WHOLE.format(number) : SHORT.format(number));

/** A rate: two digits of truth are enough. */
export function rate(number) {
  if (number >= 10 || number === 0) return WHOLE.format(Math.round(number));
  return number.toFixed(number >= 1 ? 1 : 2);
}

/** A time in the viewer's zone, UTC on hover; `given` is RFC 3339 or seconds since 1970. */
export function time(given, full = false) {
  if (given === null || given === undefined) return el("span", { class: "quiet" }, "–");
  const at = new Date(typeof given === "number" ? given * 1000 : given);
  if (Number.isNaN(at.getTime())) return el("span", {}, String(given));
  const today = new Date().toDateString() === at.toDateString();
  const text = full ? FULL.format(at) : today ? CLOCK.format(at) : `${DAY.format(at)} ${CLOCK.format(at)}`;
  return el("time", { datetime: at.toISOString(), title: `${at.toISOString()} (UTC)` }, text);
}

/** How long ago, in words. */
export function ago(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export function severity(number) {
  if (number === null || number === undefined) return el("span", { class: "quiet" }, "–");
  return el("span", { class: `badge s${number}`, title: `syslog severity ${number}` }, SEVERITIES[number] ?? String(number));
}

export function handling(name) {
  const kind = FORWARDED.includes(name) ? "sent" : name === "unhandled" ? "none" : "kept";
  return el("span", { class: `tag ${kind}`, title: name }, HANDLINGS[name] ?? name);
}

/** What the forwarders say about an audit row: [class, words, explanation]. */
export function delivery(row) {
  if (!row.forwarded) return el("span", { class: "quiet", title: "This handling makes no alert: the event is only stored." }, "no alert");
  const fact = row.delivery;
  const old = Date.now() - Date.parse(row.received_at) > 86400000;
  if (!fact) return el("span", { class: "quiet", title: old ? "Results of delivery are kept for a day." : "Not tried yet." }, old ? "unknown" : "waiting");
  const answer = fact.status ? `HTTP ${fact.status}` : "";
  const title = [`${fact.attempts} ${fact.attempts === 1 ? "attempt" : "attempts"}`, answer, fact.reason ?? "", fact.time].filter(Boolean).join(" · ");
  const [kind, words] = { delivered: ["good", "✓ delivered"], retry: ["warn", "↻ retrying"], dead: ["bad", "✕ failed"] }[fact.state] ?? ["quiet", fact.state];
  return el("span", { class: kind, title }, words);
}
