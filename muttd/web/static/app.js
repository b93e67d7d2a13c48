// The page: which view the address means, the navigation, and the pulse that keeps it alive.

import { get, whoami } from "/static/api.js";
import { el, show } from "/static/dom.js";
import { openEvent } from "/static/event_list.js";
import * as dashboard from "/static/dashboard.js";
import * as changes from "/static/changes.js";
import * as delivery from "/static/delivery.js";
import * as events from "/static/events.js";
import * as hosts from "/static/hosts.js";
import * as keys from "/static/keys.js";
import * as live from "/static/live.js";
import * as rules from "/static/rules.js";
import * as status from "/static/status.js";
import * as unhandled from "/static/unhandled.js";

const VIEWS = {
  "/": dashboard, "/live": live, "/events": events, "/rules": rules, "/hosts": hosts, "/unhandled": unhandled,
  "/delivery": delivery, "/changes": changes, "/keys": keys, "/status": status,
};
const EVERY = 2000, EVERY_WITHOUT_ANSWER = 5000;

const main = document.getElementById("main");
const linkState = document.getElementById("link-state");
let refresh = null, leave = null, timer = 0;
let alarms = [], stale = null, heard = null; // heard: when all that stands here was new

/** Draws the view that the address means. */
function draw() {
  const view = VIEWS[location.pathname] ?? dashboard;
  document.title = `${view.title} · mutt`;
  show(document.getElementById("navigation"), Object.entries(VIEWS).map(([path, one]) =>
    el("li", {}, el("a", { href: path, "aria-current": one === view ? "page" : null }, one.title))));
  document.querySelector("#navigation [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }); // on a telephone it scrolls
  leave?.();
  refresh = null;
  leave = view.draw(main, (wanted) => { refresh = wanted; });
  const opened = new URL(location.href).searchParams.get("event");
  if (opened) openEvent(opened);
  pulse();
}

/** Looks at how things stand, now and every two seconds while somebody can see it. */
async function pulse() {
  clearTimeout(timer);
  let pause = EVERY;
  try {
    const metrics = await get("/api/v1/metrics/current");
    alarms = metrics.alarms;
    tell();
    await refresh?.(metrics);
    heard = metrics.time;
    stale = null;
  } catch (error) {
    outdated(error);
    pause = EVERY_WITHOUT_ANSWER;
  }
  tell();
  clearTimeout(timer);
  timer = setTimeout(pulse, document.hidden ? pause * 10 : pause);
}

/** What stands here is old: nobody may take it for how things are. */
function outdated(error) {
  stale = { level: "critical", code: "stale", title: "This page is not up to date", detail: `${error.message} It tries again automatically.`, since: heard };
}

function tell() {
  dashboard.alarmList(document.getElementById("alarms"), stale ? [stale, ...alarms] : alarms);
  const words = stale ? "not live" : "live";
  if (linkState.textContent !== words) linkState.textContent = words;
  linkState.classList.toggle("lost", stale !== null);
  document.body.classList.toggle("stale", stale !== null);
  const grave = stale !== null || alarms.some((alarm) => alarm.level === "critical");
  document.title = document.title.replace(/^(⚠ )?/, grave ? "⚠ " : "");
}

addEventListener("popstate", draw);
addEventListener("keydown", (event) => { // a slash goes to the search, as everywhere
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, select, textarea, dialog")) return;
  const search = main.querySelector("input[type=search], form[role=search] input");
  if (search) { event.preventDefault(); search.focus(); }
});
addEventListener("visibilitychange", () => { if (!document.hidden) pulse(); });
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='/']");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  if (!(new URL(link.href).pathname in VIEWS)) return;
  event.preventDefault();
  history.pushState(null, "", link.getAttribute("href"));
  draw();
  main.focus();
});

function begin() {
  whoami().then(draw, (error) => {
    outdated(error);
    tell();
    setTimeout(begin, EVERY_WITHOUT_ANSWER);
  });
}

begin();
