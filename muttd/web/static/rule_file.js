// Rules as code: the file of all rules out, and in again after a look at what it would change.

import { may, postFile } from "/static/api.js";
import { dialog, el, empty, field, note, show, table } from "/static/dom.js";
import { whole } from "/static/words.js";

/** The buttons that stand at the list of rules; `changed` is called when a file was taken. */
export function fileActions(changed) {
  return [el("a", { class: "button", href: "/api/v1/rules/export", download: "mutt-rules.yaml" }, "Export"),
    may("editor") ? el("button", { type: "button", on: { click: () => importFile(changed) } }, "Import") : null];
}

function importFile(changed) {
  const file = el("input", { id: "rule-file", type: "file", accept: ".yaml,.yml,application/yaml" });
  const merge = el("input", { id: "rule-merge", type: "checkbox" });
  const plan = el("div"), state = el("p", { role: "status" });
  const take = el("button", { type: "button", class: "primary", disabled: true, on: { click: go } }, "Apply");
  let text = null, version = null;

  const send = (dryRun) => postFile("/api/v1/rules/import", { dry_run: dryRun, mode: merge.checked ? "merge" : "replace" }, text,
    { "Content-Type": "application/yaml", ...(dryRun ? {} : { "If-Match": `"${version}"` }) });

  async function look() {
    take.disabled = true;
    show(plan);
    if (!file.files.length) return;
    state.textContent = "Checking what it would change …";
    try {
      text = await file.files[0].text();
      const found = await send(true);
      version = found.version;
      state.textContent = `${whole(found.created.length)} new, ${whole(found.changed.length)} changed, ${whole(found.deleted.length)} deleted, ${whole(found.unchanged)} unchanged.`;
      const rows = [...found.created.map((one) => row("new", one)), ...found.changed.map((one) => row("changed", one)), ...found.deleted.map((one) => row("deleted", one))];
      show(plan, rows.length ? table(["Change", "Rule", "Difference"], rows, { label: "What it would change" })
        : empty("The file matches the rules in force.", el("p", {}, "There is nothing to change.")));
      take.disabled = rows.length === 0;
    } catch (error) { refused(error); }
  }

  async function go() {
    take.disabled = true;
    try {
      await send(false);
      shown.close();
      note("The rules now match the file. Each change can be reverted under Changes.");
      changed();
    } catch (error) { refused(error); }
  }

  function refused(error) {
    state.textContent = error.message;
    show(plan, el("ul", {}, (error.problem?.errors ?? []).map((fault) => el("li", { class: "refusal" }, `${fault.field} ${fault.reason}`))));
  }

  file.addEventListener("click", () => { file.value = ""; }); // a corrected file may be chosen again
  file.addEventListener("change", look);
  merge.addEventListener("change", look);
  const shown = dialog("Import rules", [field("YAML file, as Export writes it", file, { hint: "You see what would change before anything does." }),
    el("div", { class: "field" }, el("label", { for: "rule-merge" }, merge, " Keep rules that are not in the file")), state, plan, el("div", { class: "actions" }, take)]);
}

const row = (what, one) => el("tr", {}, el("td", {}, el("span", { class: "tag kept" }, what)), el("th", { scope: "row" }, one.name ?? `rule ${one.id}`), el("td", {}, difference(what, one)));

function difference(what, { before, after }) {
  const told = (value) => (value === null || value === undefined ? "nothing" : Array.isArray(value) ? value.join(", ") || "nothing" : String(value));
  if (what !== "changed") return "";
  return el("ul", { class: "diff" }, Object.keys(after).map((name) => el("li", {}, `${name}: `, el("del", {}, told(before[name])), " → ", el("ins", {}, told(after[name])))));
}
