// Keys: who may use the API and the page. A key is shown once, when it is made.

import { get, may, post, put, remove } from "/static/api.js";
import { choice, confirmed, dialog, el, empty, field, note, show, showFaults, table } from "/static/dom.js";
import { time } from "/static/words.js";

export const title = "Keys";

const ROLES = [["viewer", "Viewer"], ["operator", "Operator"], ["editor", "Editor"], ["admin", "Administrator"]];
const ROLES_HINT = "Viewers can look; operators also edit dead letters; editors also change rules, hosts and teams; administrators also manage keys.";

export function draw(main) {
  const place = el("div");
  async function load() {
    try {
      const { items } = await get("/api/v1/keys");
      show(place, items.length ? table(["Name", "Role", "Created", "Last used", "Expires", ["", "number"]], items.map(row)) : empty("There are no keys other than those in the secrets.",
        el("p", {}, "Create one for each person and each script: changes are recorded under its name, and it can be deleted without affecting the others.")));
    } catch (error) { show(place, el("p", { class: "empty" }, error.message)); }
  }

  const row = (key) => el("tr", { class: ended(key) ? "off" : null }, el("th", { scope: "row" }, key.name), el("td", {}, key.role),
    el("td", { class: "nowrap" }, time(key.created_at)), el("td", { class: "nowrap" }, key.last_used_at ? time(key.last_used_at) : "never"),
    el("td", { class: "nowrap" }, key.expires_at ? el("time", { datetime: key.expires_at, title: key.expires_at }, local(key.expires_at).replace("T", " ")) : "never", ended(key) ? el("span", { class: "bad" }, " (expired)") : null),
    el("td", {}, el("span", { class: "actions" },
      el("button", { type: "button", "aria-label": `Change ${key.name}`, on: { click: () => edit(key) } }, "Change"),
      el("button", { type: "button", class: "danger", "aria-label": `Delete ${key.name}`, on: { click: () => gone(key) } }, "Delete"))));

  async function gone(key) {
    if (!await confirmed(`Delete the key ${key.name}? Whoever uses it loses access at once. It cannot be restored.`, "Delete it")) return;
    try {
      await remove(`/api/v1/keys/${key.id}`, { "If-Match": `"${key.version}"` });
      note(`${key.name} is no longer accepted.`);
    } catch (error) { note(error.message, true); }
    load();
  }

  function edit(key = null) {
    const general = el("p", { class: "refusal", role: "alert" });
    const form = el("form", { class: "form", novalidate: true },
      field("Name", el("input", { id: "name", name: "name", value: key?.name ?? "", maxlength: "100", autocomplete: "off" }), { hint: "A person or a script. Changes are recorded under it." }),
      field("Role", choice("role", ROLES, key?.role ?? "viewer"), { hint: ROLES_HINT }),
      field("Expires", el("input", { id: "expires_at", name: "expires_at", type: "datetime-local", value: local(key?.expires_at) }), { hint: "In your time zone; leave empty for never." }),
      field("Reason (for the record)", el("input", { id: "reason", name: "reason", maxlength: "500" })),
      general, el("div", { class: "long" }, el("button", { class: "primary" }, key ? "Save" : "Create the key")));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const given = Object.fromEntries(new FormData(form));
      const body = { name: given.name, role: given.role, reason: given.reason || null, expires_at: given.expires_at ? new Date(given.expires_at).toISOString() : null };
      try {
        const made = key ? await put(`/api/v1/keys/${key.id}`, body, { "If-Match": `"${key.version}"` }) : await post("/api/v1/keys", body);
        shown.close();
        load();
        if (!key) once(made);
      } catch (error) { showFaults(form, general, error.problem ?? { detail: error.message }); }
    });
    const shown = dialog(key ? key.name : "New key", form, { small: true });
  }

  const make = el("button", { class: "primary", type: "button", on: { click: () => edit() } }, "New key");
  show(main, el("section", { class: "panel" }, el("div", { class: "heading" }, el("h1", {}, "Keys"), el("div", { class: "actions" }, may("admin") ? make : null)),
    el("p", { class: "quiet legend" }, "A browser session has the rights of its key, and ends with it. The keys in the secrets are not listed: they are administrators."), place));
  if (may("admin")) load();
  else show(place, empty("Keys are for administrators.", el("p", {}, "Log in with a key that has the role admin.")));
}

const ended = (key) => key.expires_at !== null && new Date(key.expires_at) <= new Date();

/** A time as a field of the form wants it. */
function local(text) {
  if (!text) return "";
  const at = new Date(text);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}

/** The only time that anybody sees the key. */
function once(made) {
  const value = el("input", { id: "made-key", class: "mono", readonly: true, value: made.key, "aria-label": "The key" });
  const copy = el("button", { type: "button", class: "primary", on: { click: async () => {
    value.select();
    try { await navigator.clipboard.writeText(made.key); note("Copied."); } catch { note("Copy it by hand: it is selected."); }
  } } }, "Copy");
  dialog(`Key for ${made.name}`, [el("p", {}, "Copy it now. mutt keeps only a digest of it, so it cannot be shown again."),
    el("div", { class: "field long" }, value), el("div", { class: "actions" }, copy)], { small: true });
}
