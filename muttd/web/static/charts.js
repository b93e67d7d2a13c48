// Stacked columns by minute, drawn by hand: sixty rectangles need no library.

import { el, show, svg } from "/static/dom.js";
import { short, whole } from "/static/words.js";

const WIDTH = 720, HEIGHT = 150, BOTTOM = 2, TOP = 8;

/** Draws `series` ([{name, fill, counts}], the gravest first) over `stamps` (seconds since 1970), each `per`, into `place`. */
export function columns(place, stamps, series, per = "a minute") {
  const totals = stamps.map((_, index) => series.reduce((sum, one) => sum + one.counts[index], 0));
  const top = niceTop(Math.max(...totals, 1));
  const height = HEIGHT - TOP - BOTTOM, step = WIDTH / stamps.length;
  const y = (count) => TOP + height - (count / top) * height;
  const picture = svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": spoken(totals, series, per) });
  for (const part of [0, 0.5, 1]) {
    picture.append(svg("line", { class: "axis", x1: 0, x2: WIDTH, y1: y(top * part), y2: y(top * part), "vector-effect": "non-scaling-stroke" }));
  }
  stamps.forEach((stamp, index) => {
    let base = 0;
    const column = svg("g", {}, svg("title", {}, `${clock(stamp)}: ${whole(totals[index])} ${per}`));
    for (const one of [...series].reverse()) {
      const count = one.counts[index];
      if (!count) continue;
      column.append(svg("rect", { class: one.fill, x: index * step + step * 0.12, width: step * 0.76, y: y(base + count), height: y(base) - y(base + count) }));
      base += count;
    }
    column.append(svg("rect", { x: index * step, width: step, y: TOP, height, fill: "transparent" }));
    picture.append(column);
  });
  // Words are HTML, so that they keep their shape when the picture is stretched.
  show(place, picture,
    el("span", { class: "quiet chart-top", "aria-hidden": "true" }, `${short(top)} ${per}`),
    el("div", { class: "quiet chart-labels", "aria-hidden": "true" }, [...new Set([0, 0.25, 0.5, 0.75, 1].map((part) => Math.round(part * (stamps.length - 1))))].map((index) => el("span", {}, clock(stamps[index])))));
}

export function legend(series) {
  return el("ul", { class: "legend" }, series.map((one) =>
    el("li", {}, svg("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, svg("rect", { class: one.fill, width: 10, height: 10, rx: 2 })),
      `${one.name} ${short(one.counts.reduce((sum, count) => sum + count, 0))}`)));
}

function niceTop(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map((factor) => factor * unit).find((found) => found >= value);
}

const clock = (stamp) => new Date(stamp * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

function spoken(totals, series, per) {
  const sum = totals.reduce((all, one) => all + one, 0);
  return `Events ${per}: ${whole(sum)} in all. ` + series.map((one) =>
    `${one.name} ${whole(one.counts.reduce((all, count) => all + count, 0))}`).join(", ");
}
