// Hosts and teams: what is in development, and whose hosts are whose. Lists can be pasted or taken from a CSV file.

import { get, may, post, put, remove } from "/static/api.js";
import { dialog, el, empty, field, note, show, showFaults, table } from "/static/dom.js";
import { time, whole } from "/static/words.js";

export const title = "Hosts";

export function draw(main) {
  const teams = hostList("Teams", "/api/v1/teams", ["hostname", "team_assignment", "note"],
    empty("No host has a team yet.", el("p", {}, "Alerts go to the rule's team, else the host's, else the default team. Add a host, a pattern or a network.")));
  const hosts = hostList("Development hosts", "/api/v1/dev-hosts", ["hostname", "note"],
    empty("No host is in development.", el("p", {}, "For events from development hosts, a rule's handling for development applies. Add a host, a pattern or a network.")));
  show(main, el("h1", { class: "sr" }, "Hosts and teams"), el("p", { class: "quiet" }, "A name, a pattern with * and ?, an address or a network. The most specific entry wins."),
    el("div", { class: "columns" }, teams, hosts));
}

const LABELS = { hostname: "Host", team_assignment: "Team", note: "Note" };

const FILE_LIMIT = 5_000_000; // octets: 100,000 hosts

/** The cells of a line of CSV: separated by comma, semicolon or tab, quoted where they hold one. */
const cells = (line) => Array.from(line.matchAll(/(?:^|[,;\t])\s*(?:"((?:[^"]|"")*)"\s*(?=[,;\t]|$)|([^,;\t]*))/g), ([, quoted, plain]) => (quoted?.replaceAll('""', '"') ?? plain).trim());

const seen = (item) => ({ "If-Match": `"${item.version}"` });

/** One of the two tables, with everything that can be done with it. */
function hostList(heading, path, columns, nothing) {
  const place = el("div"), state = el("span", { class: "quiet", role: "status" });

  async function load() {
    try {
      const { items } = await get(path);
      state.textContent = items.length ? whole(items.length) : "";
      show(place, items.length ? table([...columns.map((name) => LABELS[name]), "Added", ["", "number"]], items.map(row)) : nothing);
    } catch (error) { show(place, el("p", { class: "empty" }, error.message)); }
  }

  function row(item) {
    const gone = async () => {
      try {
        await remove(`${path}/${encodeURIComponent(item.hostname)}`, seen(item));
        note(`${item.hostname} deleted. It can be reverted under Changes.`);
        load();
      } catch (error) { note(error.message, true); }
    };
    return el("tr", {}, el("th", { scope: "row" }, item.hostname), columns.slice(1).map((name) => el("td", {}, item[name] ?? "")), el("td", { class: "nowrap" }, time(item.created_at)),
      el("td", {}, may("editor") ? el("span", { class: "actions" },
        columns.includes("team_assignment") ? el("button", { type: "button", "aria-label": `Change ${item.hostname}`, on: { click: () => one(item) } }, "Change") : null,
        el("button", { type: "button", class: "danger", "aria-label": `Delete ${item.hostname}`, on: { click: gone } }, "Delete")) : null));
  }

  function one(item = null) {
    const general = el("p", { class: "refusal", role: "alert" });
    const form = el("form", { class: "form", novalidate: true }, columns.map((name) =>
      field(LABELS[name], el("input", { id: name, name, value: item?.[name] ?? "", disabled: item !== null && name === "hostname" }))), general, el("div", { class: "long" }, el("button", { class: "primary" }, "Save")));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        const body = Object.fromEntries(new FormData(form));
        if (item) await put(`${path}/${encodeURIComponent(item.hostname)}`, body, seen(item));
        else await post(path, body);
        shown.close();
        load();
      } catch (error) { showFaults(form, general, error.problem ?? { detail: error.message }); }
    });
    const shown = dialog(item ? item.hostname : `Add to ${heading.toLowerCase()}`, form, { small: true });
  }

  function several() {
    const text = el("textarea", { id: "pasted", rows: "8", placeholder: columns.join(", ") });
    const preview = el("div"), progress = el("p", { role: "status" });
    const add = el("button", { type: "button", class: "primary", disabled: true, on: { click: go } }, "Add");
    let rows = [];
    const file = el("input", { id: "file", type: "file", accept: ".csv,.txt,text/csv,text/plain", on: { change: async () => {
      if (!file.files.length) return;
      if (file.files[0].size > FILE_LIMIT) { note("That file is too large for a list of hosts.", true); return; }
      text.value = await file.files[0].text();
      text.dispatchEvent(new Event("input"));
    } } });
    text.addEventListener("input", () => {
      rows = text.value.split("\n").map((line) => line.trim()).filter((line) => line && !line.startsWith("#")).map(cells)
        .map((found) => Object.fromEntries(columns.map((name, index) => [name, found[index] ?? ""])));
      rows = rows.filter((found) => found.hostname.toLowerCase() !== "hostname");
      add.disabled = rows.length === 0;
      add.textContent = `Add ${whole(rows.length)}`;
      show(preview, rows.length ? table(columns.map((name) => LABELS[name]), rows.slice(0, 10).map((found) => el("tr", {}, columns.map((name) => el("td", {}, found[name])))), { label: "Preview" }) : null,
        rows.length > 10 ? el("p", { class: "quiet" }, `and ${whole(rows.length - 10)} more`) : null);
    });
    async function go() {
      add.disabled = true;
      const refused = [];
      for (const [index, found] of rows.entries()) {
        progress.textContent = `${whole(index + 1)} of ${whole(rows.length)}`;
        try { await post(path, found); } catch (error) {
          refused.push(`${found.hostname}: ${error.problem?.errors?.[0]?.reason ?? error.message}`);
        }
      }
      progress.textContent = `${whole(rows.length - refused.length)} added${refused.length ? `, ${whole(refused.length)} refused` : ""}.`;
      show(preview, refused.length ? el("ul", {}, refused.slice(0, 100).map((line) => el("li", { class: "refusal" }, line))) : null);
      load();
    }
    dialog(`Add a list of ${heading.toLowerCase()}`, [field(`One per line: ${columns.map((name) => LABELS[name].toLowerCase()).join(", ")}`, text), field("Or a CSV file", file), preview, el("div", { class: "actions" }, add, progress)]);
  }

  load();
  return el("section", { class: "panel", "aria-label": heading }, el("div", { class: "heading" }, el("h2", {}, heading), el("div", { class: "actions" }, state,
    may("editor") ? [el("button", { type: "button", on: { click: several } }, "Add a list"), el("button", { type: "button", class: "primary", on: { click: () => one() } }, "Add")] : [])), place);
}
