// Elements without HTML: whatever a device sent is text here, and stays text.

const SVG = "http://www.w3.org/2000/svg";

/** An element: `el("a", { href: "/events", on: { click } }, "text", child, …)`. Children that are null are left out. */
export function el(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Puts `children` in the place of what is in `parent`. */
export function show(parent, ...children) {
  parent.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
}

/**
 * A table of rows (tr). `heads`: names, or [name, classes] that count for the whole column: `number`; `minor` is left out
 * where there is no room. An empty name stands above actions. On a telephone each row is a card whose cells name
 * themselves, unless `cards` is false.
 */
export function table(heads, rows, { cards = true, label = null, caption = null } = {}) {
  const columns = heads.map((head) => [head].flat());
  for (const row of rows) {
    [...row.children].forEach((cell, index) => {
      const [name, classes] = columns[index] ?? [];
      if (classes) cell.classList.add(...classes.split(" "));
      if (name) cell.dataset.label = name;
    });
  }
  const made = el("table", { class: cards ? "cards" : null }, caption ? el("caption", {}, caption) : null,
    el("thead", {}, el("tr", {}, columns.map(([name, classes]) => el("th", { scope: "col", class: classes }, name || el("span", { class: "sr" }, "Actions"))))),
    el("tbody", {}, rows));
  // What scrolls must be reached by keyboard.
  return el("div", { class: "scroll", ...(label ? { tabindex: "0", role: "group", "aria-label": label } : {}) }, made);
}

/** A field of a form: label, control, and the place where its fault is shown. */
export function field(label, control, options = {}) {
  const refusal = el("span", { class: "refusal", id: `${control.id}-fault` });
  control.setAttribute("aria-describedby", refusal.id);
  return el("div", { class: `field ${options.long ? "long" : ""}` }, el("label", { for: control.id }, label), control,
    options.hint ? el("span", { class: "quiet" }, options.hint) : null, refusal);
}

/** A select of [value, text] pairs. */
export function choice(id, pairs, value = "") {
  const made = el("select", { id, name: id }, pairs.map(([key, text]) => el("option", { value: key }, text)));
  made.value = value ?? "";
  return made;
}

/** Shows each fault of a problem (RFC 9457) at its field of `form`, else in `general`. */
export function showFaults(form, general, problem) {
  for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
  for (const place of form.querySelectorAll(".field > .refusal")) place.textContent = "";
  const rest = [];
  for (const fault of problem?.errors ?? []) {
    const control = form.elements.namedItem(fault.field);
    const place = control && form.querySelector(`#${CSS.escape(control.id)}-fault`);
    if (!place) { rest.push(`${fault.field}: ${fault.reason}`); continue; }
    control.setAttribute("aria-invalid", "true");
    place.textContent = fault.reason;
  }
  general.textContent = problem ? (rest.join("; ") || problem.detail) : "";
  form.querySelector("[aria-invalid]")?.focus();
}

/** A short message that goes away. */
export function note(text, bad = false) {
  const made = el("div", { class: bad ? "note bad-note" : "note" }, text);
  document.getElementById("notes").append(made);
  setTimeout(() => made.remove(), bad ? 9000 : 4000);
}

/** What to show where there is nothing, and what to do next. */
export function empty(title, ...next) {
  return el("div", { class: "empty" }, el("strong", {}, title), ...next);
}

/** A dialog with a heading and a way out; `closed` is called when it is gone. */
export function dialog(title, body, { small = false, actions = [], closed = () => {} } = {}) {
  const made = el("dialog", { class: small ? "small" : null, "aria-label": title },
    el("div", { class: "heading" }, el("h2", {}, title),
      el("div", { class: "actions" }, actions, el("button", { type: "button", on: { click: () => made.close() } }, "Close"))),
    el("div", { class: "body" }, body));
  made.addEventListener("close", () => { made.remove(); closed(); });
  document.body.append(made);
  made.showModal();
  made.querySelector(".body :is(input, select, textarea):not([disabled])")?.focus(); // not what deletes
  return made;
}

/** Asks before something that cannot be undone. */
export function confirmed(question, action) {
  return new Promise((resolve) => {
    let answer = false;
    const yes = el("button", { class: "danger", type: "button", on: { click: () => { answer = true; asked.close(); } } }, action);
    const asked = dialog(question, el("div", { class: "actions" }, yes), { small: true, closed: () => resolve(answer) });
    yes.focus();
  });
}
