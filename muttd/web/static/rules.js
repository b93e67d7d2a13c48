// Rules: in the order in which they are asked; a form to change one, with what it would do beside it.

import { get, may, post, put, remove } from "/static/api.js";
import { backTest } from "/static/backtest.js";
import { choice, confirmed, dialog, el, empty, field, note, show, showFaults, table } from "/static/dom.js";
import { explanation } from "/static/event_list.js";
import { fileActions } from "/static/rule_file.js";
import { handling, HANDLINGS, SEVERITIES, time, whole } from "/static/words.js";

export const title = "Rules";

const MADE = Object.entries(HANDLINGS).filter(([name]) => name !== "unhandled");
const TEXTS = ["name", "match_string", "trap_oid", "host_pattern", "source_network", "app_name", "varbind_oid", "varbind_value", "team_assignment"];
const NUMBERS = ["priority", "syslog_severity", "severity_from", "severity_to", "facility", "moog_severity"];
const TRAP = /^\s*(0x)?30[0-9a-f\s:]{20,}$/i; // an SNMP message is a SEQUENCE
const CONDITIONS = { match_string: "text", trap_oid: "trap OID", syslog_severity: "severity", severity_range: "severity range", facility: "facility",
  host_pattern: "host", source_network: "network", app_name: "application", varbind: "variable", environment: "environment" };

export function draw(main) {
  const place = el("div"), state = el("p", { class: "quiet", role: "status" });
  const given = new URL(location.href).searchParams.get("find") ?? "";
  const find = el("input", { id: "find", type: "search", placeholder: "name, text, OID, host, team", value: given, "aria-label": "Find rules" });
  let rules = [];

  async function load() {
    try {
      rules = (await get("/api/v1/rules")).items;
      list();
    } catch (error) { show(place, el("p", { class: "empty" }, error.message)); }
  }

  function list() {
    const wanted = find.value.trim().toLowerCase();
    history.replaceState(history.state, "", wanted ? `?find=${encodeURIComponent(find.value.trim())}` : location.pathname);
    const found = rules.filter((rule) => !wanted || String(rule.id) === wanted || [...TEXTS, "match_type", "prod_handling"].some((name) => (rule[name] ?? "").toLowerCase().includes(wanted)));
    state.textContent = rules.length ? `${whole(found.length)} of ${whole(rules.length)}` : "";
    if (!found.length) {
      show(place, rules.length ? empty("No rule matches this search.", el("p", {}, "Try a shorter term."))
        : empty("There are no rules yet.", el("p", {}, "Without rules every event is unhandled and nothing is sent to Moog. Create the first one, or look at Unhandled for drafts.")));
      return;
    }
    show(place, table([["Priority", "number"], "Rule", "When", "Production", "Development", "Team", "Last hit", ["Hits, 24 h", "number"]],
      found.map((rule) => el("tr", { class: rule.is_active ? "link" : "link off", on: { click: () => edit(rule, load) } },
        el("td", {}, String(rule.priority)),
        el("th", { scope: "row" }, el("button", { type: "button", class: "open" }, rule.name || `rule ${rule.id}`), rule.is_active ? null : el("span", { class: "quiet" }, " (off)")),
        el("td", {}, inWords(rule)), el("td", {}, handling(rule.prod_handling)), el("td", {}, handling(rule.dev_handling)),
        el("td", {}, rule.team_assignment ?? el("span", { class: "quiet" }, "the host's team")),
        el("td", { class: "nowrap" }, time(rule.last_hit)),
        el("td", {}, rule.hits_24h === undefined ? el("span", { class: "quiet", title: "Hits are counted in Redis, which is away." }, "unknown") : whole(rule.hits_24h))))));
  }

  find.addEventListener("input", list);
  const make = el("button", { class: "primary", type: "button", on: { click: () => edit({}, load) } }, "New rule");
  show(main, el("section", { class: "panel" },
    el("div", { class: "heading" }, el("h1", {}, "Rules"), el("div", { class: "actions" }, state, find, fileActions(load), may("editor") ? make : null)),
    el("p", { class: "quiet legend" }, "Rules are tried in priority order, lowest number first; ties go to the lowest id. The first that matches decides."), place));
  load();
}

/** A rule's conditions in one line. */
function inWords(rule) {
  const not = (name) => (rule.negated.includes(name) ? "not " : "");
  const severity = (number) => SEVERITIES[number];
  const parts = [
    rule.match_string && rule.match_type !== "oid_prefix" ? `${not("match_string")}${rule.match_type} “${rule.match_string}”` : null,
    rule.trap_oid || rule.match_type === "oid_prefix" ? `${not("trap_oid")}trap ${rule.trap_oid ?? rule.match_string}` : null,
    rule.syslog_severity !== null ? `${not("syslog_severity")}severity ${severity(rule.syslog_severity)}` : null,
    rule.severity_from !== null || rule.severity_to !== null ? `${not("severity_range")}${[...new Set([severity(rule.severity_from ?? 0), severity(rule.severity_to ?? 7)])].join(" to ")}` : null,
    rule.facility !== null ? `${not("facility")}facility ${rule.facility}` : null,
    rule.host_pattern ? `${not("host_pattern")}host ${rule.host_pattern}` : null,
    rule.source_network ? `${not("source_network")}from ${rule.source_network}` : null,
    rule.app_name ? `${not("app_name")}application ${rule.app_name}` : null,
    rule.varbind_oid || rule.varbind_value ? `${not("varbind")}variable ${rule.varbind_oid ?? "any"} is ${rule.varbind_value ?? "there"}` : null,
    rule.environment ? `${not("environment")}${rule.environment} hosts` : null,
  ];
  return parts.filter(Boolean).join(", ");
}

/** The form for one rule; `saved` is called when something has changed. A rule without id is a new one. */
export function edit(rule, saved) {
  const form = el("form", { class: "form", novalidate: true });
  const text = (name, label, options = {}) => field(label, el("input", { id: name, name, value: rule[name] ?? "", spellcheck: "false", class: options.mono ? "mono" : null }), options);
  const number = (name, label, options = {}) => field(label, el("input", { id: name, name, inputmode: "numeric", value: rule[name] ?? options.usual ?? "" }), options);
  const severities = [["", "any"], ...SEVERITIES.map((name, index) => [String(index), `${index} ${name}`])];
  const pick = (name, label, pairs, usual = "") => field(label, choice(name, pairs, String(rule[name] ?? usual)));
  const tick = (name, label, on, id = name) => el("label", { class: "check" }, el("input", { type: "checkbox", id, name, checked: on }), label);
  const general = el("p", { class: "refusal long", role: "alert" });
  const negated = el("fieldset", { class: "long" }, el("legend", {}, "These must not hold"), el("div", { class: "actions" },
    Object.entries(CONDITIONS).map(([name, label]) => tick("negated", label, (rule.negated ?? []).includes(name), `negated-${name}`))));

  form.append(
    text("name", "Name", { long: true }), number("priority", "Priority", { usual: 100, hint: "lowest wins" }),
    el("div", { class: "field" }, el("span", { class: "quiet" }, "State"), tick("is_active", "In use", rule.is_active ?? true)),
    el("h3", {}, "Which events"),
    el("div", { class: "field long" }, text("match_string", "Text in the message", { mono: true }), tick("case_sensitive", "Case-sensitive", rule.case_sensitive)),
    pick("match_type", "How the text is matched", [["contains", "contains"], ["regex", "regular expression (RE2)"], ["oid_prefix", "trap OID"]], "contains"),
    text("app_name", "Application"), number("facility", "Facility", { hint: "0 to 23" }),
    pick("severity_from", "Severity from", severities), pick("severity_to", "to", severities), pick("syslog_severity", "or exactly", severities),
    text("host_pattern", "Host", { hint: "name, or pattern with * and ?" }), text("source_network", "Source network", { hint: "10.1.0.0/16" }),
    pick("environment", "Only hosts in", [["", "both"], ["prod", "production"], ["dev", "development"]]),
    text("trap_oid", "Trap OID begins with", { mono: true }), text("varbind_oid", "Variable OID", { mono: true }), text("varbind_value", "Variable value"),
    el("details", { class: "long", open: (rule.negated ?? []).length > 0 }, el("summary", {}, "Conditions that must not be met"), negated),
    el("h3", {}, "What to do with them"),
    pick("prod_handling", "In production", MADE, "Ticket_only"), pick("dev_handling", "In development", MADE, "Log_only"),
    text("team_assignment", "Team", { hint: "empty: the host's team" }),
    pick("moog_severity", "Severity in Moog", [["", "from the event"], ["0", "0 clear"], ["1", "1 indeterminate"], ["2", "2 warning"], ["3", "3 minor"], ["4", "4 major"], ["5", "5 critical"]]),
    field("Reason (for the record)", el("input", { id: "reason", name: "reason", maxlength: "500" }), { long: true }), general);

  const read = () => {
    const data = new FormData(form), made = {};
    for (const name of TEXTS) made[name] = data.get(name) || null;
    for (const name of NUMBERS) made[name] = data.get(name) === "" ? null : /^-?\d+$/.test(data.get(name)) ? Number(data.get(name)) : data.get(name);
    for (const name of ["match_type", "prod_handling", "dev_handling"]) made[name] = data.get(name);
    made.environment = data.get("environment") || null;
    for (const name of ["case_sensitive", "is_active"]) made[name] = data.has(name);
    made.negated = Object.keys(CONDITIONS).filter((name) => form.querySelector(`#negated-${name}`).checked);
    return made;
  };

  const line = el("textarea", { id: "line", name: "line", placeholder: "Paste a syslog line, or a trap as hex", spellcheck: "false" });
  if (rule.sample) line.value = rule.sample.message;
  const outcome = el("div", { role: "status" });
  let timer = 0;
  const tryIt = () => { clearTimeout(timer); timer = setTimeout(attempt, 300); };
  async function attempt() {
    if (!line.value.trim()) { show(outcome); return; }
    try {
      const from = rule.sample && line.value === rule.sample.message ? { event: rule.sample } : TRAP.test(line.value) ? { trap: line.value } : { line: line.value };
      const found = await post("/api/v1/rules/test", { ...from, rule: { ...read(), id: rule.id } });
      showFaults(form, general, null);
      show(outcome, el("p", { class: "quiet" }, `Read as: host ${found.event.hostname}, message “${found.event.message}”. Current decision: `, handling(found.now.decision.handling)), explanation(found.draft, "With the rule as edited here"));
    } catch (error) { show(outcome, el("p", { class: "refusal" }, [error.message, ...(error.problem?.errors ?? []).map((fault) => `${fault.field}: ${fault.reason}`)].join(" "))); }
  }
  form.addEventListener("input", tryIt);
  line.addEventListener("input", tryIt);

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const body = { ...read(), reason: form.elements.namedItem("reason").value || null };
      if (rule.id) await put(`/api/v1/rules/${rule.id}`, body, { "If-Match": `"${rule.version}"` });
      else await post("/api/v1/rules", body);
      shown.close();
      note(`Saved. The change takes effect within two seconds.`);
      saved();
    } catch (error) { showFaults(form, general, error.problem ?? { detail: error.message }); }
  });

  const drop = async () => {
    if (!await confirmed(`Delete ${rule.name || `rule ${rule.id}`}?`, "Delete it")) return;
    try {
      await remove(`/api/v1/rules/${rule.id}`, { "If-Match": `"${rule.version}"` });
      shown.close();
      note("Deleted. It can be reverted under Changes.");
      saved();
    } catch (error) { note(error.message, true); }
  };

  form.id = "rule-form";
  const actions = may("editor") ? [
    rule.id ? el("button", { class: "danger", type: "button", on: { click: drop } }, "Delete") : null,
    el("button", { class: "primary", form: form.id }, "Save")] : [];
  const tester = el("section", { class: "tester" }, el("h3", {}, "Try it"), field("Sample message", line), outcome);
  const past = backTest(() => ({ ...read(), id: rule.id }), (problem) => showFaults(form, general, problem));
  const shown = dialog(rule.id ? `Rule ${rule.id}` : "New rule", el("div", { class: "wide-left" }, form, el("div", { class: "beside" }, tester, past.element)), { actions, closed: past.stop });
  attempt();
}
