// Delivery: the circuit, what waits, and the dead letters: look, send again, drop.

import { get, may, post } from "/static/api.js";
import { confirmed, dialog, el, empty, field, note, show } from "/static/dom.js";
import { ago, handling, short, time, whole } from "/static/words.js";

export const title = "Delivery";

export function draw(main, live) {
  const facts = el("dl", { class: "facts" }), place = el("div"), state = el("p", { class: "quiet", role: "status" });
  const host = el("input", { id: "host", name: "host" }), reason = el("input", { id: "reason", name: "reason" });
  const address = new URL(location.href).searchParams;
  host.value = address.get("host") ?? "";
  reason.value = address.get("reason") ?? "";
  const form = el("form", { class: "filters", role: "search", "aria-label": "Filter dead letters" }, field("Host", host), field("Reason contains", reason));
  let total = -1, timer = 0;

  const wanted = () => Object.fromEntries([["host", host.value.trim()], ["reason", reason.value.trim()]].filter(([, value]) => value));
  const body = () => (Object.keys(wanted()).length ? wanted() : { all: true });

  async function load() {
    try {
      const found = await get("/api/v1/dlq", wanted());
      total = found.total;
      history.replaceState(history.state, "", `${location.pathname}?${new URLSearchParams(wanted())}`.replace(/\?$/, ""));
      state.textContent = total ? `${whole(found.items.length)} shown of ${whole(total)}` : "";
      for (const button of buttons) button.disabled = !found.items.length;
      show(place, found.items.length ? list(found.items) : total
        ? empty("No dead letter fits these filters.") : empty("No alert was given up.", el("p", {}, "What Moog refuses, and what could not be delivered after all retries, would be here.")));
    } catch (error) { show(place, el("p", { class: "empty" }, error.message)); }
  }

  const list = (items) => el("div", { class: "scroll" }, el("table", {},
    el("thead", {}, el("tr", {}, ["Given up", "Host", "Message", "Handling", "Team", "Reason"].map((name) => el("th", { scope: "col" }, name)), el("th", { scope: "col", class: "number" }, "Tries"), el("th", {}, el("span", { class: "sr" }, "Actions")))),
    el("tbody", {}, items.map((item) => el("tr", {}, el("td", { class: "nowrap" }, time(item.time || null)), el("td", {}, item.alert?.event.hostname ?? "–"),
      el("td", { class: "message" }, item.alert?.event.message ?? item.item ?? ""), el("td", {}, item.alert ? handling(item.alert.handling) : "–"), el("td", {}, item.alert?.team ?? "–"),
      el("td", { class: "message" }, item.reason), el("td", { class: "number" }, String(item.attempts)),
      el("td", {}, el("span", { class: "actions" }, el("button", { type: "button", on: { click: () => inFull(item) } }, "Show"),
        may("operator") && item.alert ? el("button", { type: "button", on: { click: () => replay({ id: item.id }) } }, "Send again") : null)))))));

  const inFull = (item) => dialog("Dead letter", [el("p", {}, item.reason), el("pre", { tabindex: "0" }, JSON.stringify(item.alert ?? item.item, null, 2))]);

  async function replay(which) {
    try {
      let done = 0, answer;
      do {
        answer = await post("/api/v1/dlq/replay", which);
        done += answer.replayed;
        state.textContent = `${whole(done)} sent again, ${short(answer.remaining)} to go`;
      } while (answer.remaining && answer.replayed);
      note(answer.remaining ? `${whole(done)} sent again. The others wait: live alerts go first, or Moog is away.` : `${whole(done)} sent again.`, answer.remaining > 0);
      load();
    } catch (error) { note(error.message, true); }
  }

  async function drop() {
    if (!await confirmed("Drop all dead letters that are chosen? They are gone then.", "Drop them")) return;
    try {
      note(`${whole((await post("/api/v1/dlq/drop", body())).dropped)} dropped.`);
      load();
    } catch (error) { note(error.message, true); }
  }

  const buttons = may("operator") ? [el("button", { type: "button", class: "primary", on: { click: () => replay(body()) } }, "Send these again"), el("button", { type: "button", class: "danger", on: { click: drop } }, "Drop these")] : [];
  form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(load, 300); });
  form.addEventListener("submit", (event) => { event.preventDefault(); load(); });
  show(main, el("h1", { class: "sr" }, "Delivery"), el("section", { class: "panel", "aria-label": "Now" }, el("div", { class: "heading" }, el("h2", {}, "To Moog")), el("div", { class: "body" }, facts)),
    el("section", { class: "panel", "aria-label": "Dead letters" }, el("div", { class: "heading" }, el("h2", {}, "Dead letters"), el("div", { class: "actions" }, state, buttons)), form, place));
  load();

  live(async ({ circuit, queues, rates, today, time: now }) => {
    const open = circuit.state !== "closed";
    show(facts, [
      ["Circuit", el("span", { class: open ? "bad" : "good" }, open ? `✕ ${circuit.state}: ${circuit.reason}` : "✓ closed: alerts flow")],
      open ? ["Since", [time(circuit.since), ` (${ago(Date.parse(now) / 1000 - circuit.since)})`]] : null,
      ["Delivered", `${(rates["delivery:delivered"] ?? 0).toFixed(1)} a second, ${short(today["delivery:delivered"] ?? 0)} today`],
      ["Waiting", `${short(queues.alert)} alerts, ${short(queues.retry)} signatures to be tried again`],
      ["Failed tries", `${short(today["delivery:retry"] ?? 0)} today`],
    ].filter(Boolean).map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]).flat());
    if (queues.dead_letters !== total && total >= 0) await load();
  });
}
