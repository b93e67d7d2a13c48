// Delivery: the circuit, what waits, and the dead letters: look, send again, drop.

import { get, may, post, put } from "/static/api.js";
import { choice, confirmed, dialog, el, empty, field, note, show, showFaults, table } from "/static/dom.js";
import { ago, handling, HANDLINGS, short, time, whole } from "/static/words.js";

export const title = "Delivery";

export function draw(main, live) {
  const facts = el("dl", { class: "facts" }), budget = el("span", {}, "–"), place = el("div"), state = el("p", { class: "quiet", role: "status" });
  const host = el("input", { id: "host", name: "host" }), reason = el("input", { id: "reason", name: "reason" });
  const address = new URL(location.href).searchParams;
  host.value = address.get("host") ?? "";
  reason.value = address.get("reason") ?? "";
  const form = el("form", { class: "filters", role: "search", "aria-label": "Filter dead letters" }, field("Host", host), field("Reason contains", reason));
  let total = -1, timer = 0, latest = null, seen = null;

  const wanted = () => Object.fromEntries([["host", host.value.trim()], ["reason", reason.value.trim()]].filter(([, value]) => value));
  const filtered = () => Object.keys(wanted()).length > 0;
  /** Those that match the filter. What failed after the last look is not included. */
  const body = () => (seen ? { ...wanted(), before: seen } : filtered() ? wanted() : { all: true });

  async function load() {
    try {
      const asOf = latest, found = await get("/api/v1/dlq", wanted());
      seen = asOf;
      total = found.total;
      history.replaceState(history.state, "", `${location.pathname}?${new URLSearchParams(wanted())}`.replace(/\?$/, ""));
      state.textContent = total ? `${whole(found.items.length)} of ${whole(total)} shown` : "";
      for (const button of buttons) button.disabled = !found.items.length;
      show(place, found.items.length ? list(found.items) : total
        ? empty("No dead letter matches these filters.") : empty("There are no dead letters.", el("p", {}, "Alerts that Moog refuses, or that cannot be delivered however often it is tried, appear here.")));
    } catch (error) { show(place, el("p", { class: "empty" }, error.message)); }
  }

  const list = (items) => table(["Failed", "Host", "Message", "Handling", "Team", "Reason", ["Attempts", "number"], ""],
    items.map((item) => el("tr", {}, el("td", { class: "nowrap" }, time(item.time || null)), el("td", {}, item.alert?.event.hostname ?? "–"),
      el("td", { class: "message" }, item.alert?.event.message ?? item.item ?? ""), el("td", {}, item.alert ? handling(item.alert.handling) : "–"), el("td", {}, item.alert?.team ?? "–"),
      el("td", { class: "message" }, item.reason), el("td", {}, String(item.attempts)),
      el("td", {}, el("span", { class: "actions" }, el("button", { type: "button", on: { click: () => inFull(item) } }, may("operator") && item.alert ? "Edit" : "Show"),
        may("operator") && item.alert ? el("button", { type: "button", on: { click: () => replay({ id: item.id }) } }, "Send again") : null)))));

  function inFull(item) {
    const general = el("p", { class: "refusal", role: "alert" });
    if (!item.alert || !may("operator")) {
      dialog("Dead letter", [el("p", {}, item.reason), el("pre", { tabindex: "0" }, JSON.stringify(item.alert ?? item.item, null, 2))]);
      return;
    }
    const text = el("textarea", { id: "alert", name: "alert", rows: "22", spellcheck: "false" });
    text.value = JSON.stringify(item.alert, null, 2);
    const comment = el("input", { id: "comment", name: "comment", maxlength: "500" });
    const form = el("form", { class: "stack", novalidate: true, id: "letter-form" }, el("p", {}, `Delivery failed: ${item.reason}`),
      field("The alert as it will be sent again", text), field("Reason (for the record)", comment), general);
    const save = async (again) => {
      let alert;
      try { alert = JSON.parse(text.value); } catch (error) { general.textContent = `This is not JSON: ${error.message}`; return; }
      try {
        if (JSON.stringify(alert) !== JSON.stringify(item.alert)) {
          await put(`/api/v1/dlq/${encodeURIComponent(item.id)}`, { alert, comment: comment.value || null }, { "If-Match": `"${item.version}"` });
        }
        shown.close();
        if (again) await replay({ id: item.id });
        else { note("Saved. It waits here until it is sent again."); load(); }
      } catch (error) { showFaults(form, general, error.problem ?? { detail: error.message }); }
    };
    form.addEventListener("submit", (event) => { event.preventDefault(); save(false); });
    const shown = dialog("Dead letter", form, { actions: [
      el("button", { form: form.id }, "Save"), el("button", { type: "button", class: "primary", on: { click: () => save(true) } }, "Save and send again")] });
  }

  function editAll() {
    const general = el("p", { class: "refusal", role: "alert" });
    const team = el("input", { id: "team", name: "team" }), comment = el("input", { id: "comment", name: "comment", maxlength: "500" });
    const form = el("form", { class: "form", novalidate: true }, field("Team", team, { hint: "leave empty for unchanged" }),
      field("Handling", choice("handling", [["", "unchanged"], ...Object.entries(HANDLINGS).filter(([name]) => name !== "unhandled")])),
      field("Severity in Moog", choice("severity", [["", "unchanged"], ["0", "0 clear"], ["1", "1 indeterminate"], ["2", "2 warning"], ["3", "3 minor"], ["4", "4 major"], ["5", "5 critical"]])),
      field("Reason (for the record)", comment, { long: true }), general, el("div", { class: "long" }, el("button", { class: "primary" }, "Change all that match")));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const given = Object.fromEntries([...new FormData(form)].filter(([name, value]) => value && name !== "comment"));
      if (given.severity) given.severity = Number(given.severity);
      try {
        const done = await post("/api/v1/dlq/edit", { ...body(), set: given, comment: comment.value || null });
        shown.close();
        note(`${whole(done.edited)} changed.`);
        load();
      } catch (error) { showFaults(form, general, error.problem ?? { detail: error.message }); }
    });
    const shown = dialog("Change dead letters", form, { small: true });
  }

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
    const which = body();
    if (!await confirmed(filtered() ? "Drop all dead letters that match the filter? This cannot be undone." : `Drop all ${whole(total)} dead letters? This cannot be undone.`, "Drop them")) return;
    try {
      note(`${whole((await post("/api/v1/dlq/drop", which)).dropped)} dropped.`);
      load();
    } catch (error) { note(error.message, true); }
  }

  const buttons = may("operator") ? [el("button", { type: "button", class: "primary", on: { click: () => replay(body()) } }, "Send these again"), el("button", { type: "button", on: { click: editAll } }, "Change these"), el("button", { type: "button", class: "danger", on: { click: drop } }, "Drop these")] : [];
  form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(load, 300); });
  form.addEventListener("submit", (event) => { event.preventDefault(); load(); });
  show(main, el("h1", { class: "sr" }, "Delivery"), el("section", { class: "panel", "aria-label": "Now" }, el("div", { class: "heading" }, el("h2", {}, "To Moog")), el("div", { class: "body" }, facts)),
    el("section", { class: "panel", "aria-label": "Dead letters" }, el("div", { class: "heading" }, el("h2", {}, "Dead letters"), el("div", { class: "actions" }, state, buttons)), form, place));
  load();

  live(async ({ circuit, queues, rates, today, time: now }) => {
    latest = now;
    if (seen === null) await load();
    const open = circuit.state !== "closed";
    show(facts, [
      ["Circuit", el("span", { class: open ? "bad" : "good" }, open ? `✕ ${circuit.state}: ${circuit.reason}` : "✓ closed: alerts flow")],
      open ? ["Since", [time(circuit.since), ` (${ago(Date.parse(now) / 1000 - circuit.since)})`]] : null,
      ["Delivered", `${(rates["delivery:delivered"] ?? 0).toFixed(1)} a second, ${short(today["delivery:delivered"] ?? 0)} today`],
      ["Waiting", `${short(queues.alert)} alerts, ${short(queues.retry)} ${queues.retry === 1 ? "signature" : "signatures"} to retry`],
      ["Rate budget", budget],
      ["Failed attempts", `${short(today["delivery:retry"] ?? 0)} today`],
    ].filter(Boolean).map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]).flat());
    if (queues.dead_letters !== total && total >= 0) await load();
    const rate = (await get("/api/v1/status")).budget;
    if (rate) show(budget, `${whole(rate.used)} of ${whole(rate.limit)} alerts sent in the last ${rate.period} s `, el("meter", { min: "0", max: String(rate.limit), high: String(rate.limit * 0.9), value: String(rate.used), "aria-label": "Used" }));
  });
}
