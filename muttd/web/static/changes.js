// Changes: who changed what, as a difference, and a way back.

import { get, may, post } from "/static/api.js";
import { confirmed, el, empty, note, show, table } from "/static/dom.js";
import { time } from "/static/words.js";

export const title = "Changes";

const SUBJECTS = { rule: "Rule", development_host: "Development host", team: "Team", dead_letters: "Dead letters", api_key: "Key" };
const UNTOLD = new Set(["created_at", "updated_at"]);

export function draw(main) {
  const place = el("div");
  const further = el("button", { type: "button", hidden: true, on: { click: () => page() } }, "Older changes");
  let next = null, rows = [];
  async function page(anew = false) {
    try {
      const found = await get("/api/v1/changes", { before: anew ? null : next });
      rows = [...(anew ? [] : rows), ...found.items.map(row)];
      next = found.next;
      further.hidden = next === null;
      show(place, rows.length ? table(["When", "Who", "What", "Difference", "Reason", ""], rows)
        : empty("Nothing has been changed yet.", el("p", {}, "Every change to rules, hosts, teams, keys and dead letters is recorded here; most can be reverted.")));
    } catch (error) { note(error.message, true); }
  }

  const row = (change) => el("tr", {}, el("td", { class: "nowrap" }, time(change.changed_at)), el("td", {}, change.actor, el("div", { class: "quiet" }, change.address)),
    el("td", {}, `${SUBJECTS[change.subject] ?? change.subject} ${change.subject_id} `, el("span", { class: "tag kept" }, change.action)),
    el("td", {}, difference(change)), el("td", { class: "message" }, change.reason ?? ""),
    el("td", {}, may("editor") && change.subject !== "dead_letters" ? el("button", { type: "button", on: { click: () => revert(change) } }, "Revert") : null));

  async function revert(change) {
    if (!await confirmed(`Undo this change to ${(SUBJECTS[change.subject] ?? change.subject).toLowerCase()} ${change.subject_id}?`, "Revert it")) return;
    try {
      if (!await reverted(change)) return;
      note("Reverted.");
      page(true);
    } catch (error) { note(error.message, true); }
  }

  /** Whether it was done. Asks again where it was changed since. */
  async function reverted(change) {
    const address = `/api/v1/changes/${change.id}/revert`;
    try {
      await post(address);
    } catch (error) {
      if (error.status !== 412) throw error;
      if (!await confirmed(error.message, "Revert it anyway")) return false;
      await post(address, { force: true });
    }
    return true;
  }

  show(main, el("section", { class: "panel" }, el("div", { class: "heading" }, el("h1", {}, "Changes")), place, el("div", { class: "body actions" }, further)));
  page(true);
}

function difference({ before, after }) {
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])].filter((name) => !UNTOLD.has(name));
  const told = (value) => (value === null || value === undefined ? "nothing" : Array.isArray(value) ? value.join(", ") || "nothing" : String(value));
  const changed = names.filter((name) => told(before?.[name]) !== told(after?.[name]));
  return el("ul", { class: "diff" }, changed.map((name) => el("li", {}, `${name}: `, before ? el("del", {}, told(before[name])) : null, before && after ? " → " : null, after ? el("ins", {}, told(after[name])) : null)));
}
