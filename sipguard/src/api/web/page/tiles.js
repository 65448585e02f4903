// The numbers at the top.

import { byId, el, say, svg } from "./dom.js";
import { count, number } from "./format.js";

const WIDTH = 120;
const HEIGHT = 30;

const TILES = [
  { name: "Passed", unit: "a second", kind: "pass", read: (pulse) => pulse.passed },
  { name: "Dropped", unit: "a second", kind: "drop", read: (pulse) => pulse.dropped },
  { name: "Would drop", unit: "a second", kind: "would", read: (pulse) => pulse.would_drop },
  { name: "Verified", unit: "endpoints", read: (pulse) => pulse.verified, whole: true },
  { name: "Banned", unit: "by sipguard", read: (pulse) => pulse.banned, whole: true },
  { name: "Blocked", unit: "by operators", read: (pulse) => pulse.blocked, whole: true },
];

function make({ name, unit, kind }) {
  const value = el("b", { text: "–" });
  const line = svg("path", {});
  const spark = kind && svg("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, line);
  const tile = el("div", { class: `tile ${kind ?? ""}`, id: `tile-${name.toLowerCase().replace(" ", "-")}` },
    el("span", { class: "name", text: name }), value, el("span", { class: "unit", text: unit }), spark);
  return { tile, value, line };
}

const tiles = TILES.map((what) => ({ ...what, ...make(what) }));

export function start() {
  byId("tiles").append(...tiles.map(({ tile }) => tile));
}

export function show(history) {
  const last = history.last();
  if (!last) return;
  for (const { read, value, line, whole, kind, tile } of tiles) {
    say(value, whole ? count(read(last)) : number(read(last)));
    if (!kind) continue;
    tile.classList.toggle("some", read(last) > 0);
    const values = history.values(read).slice(-60);
    line.parentNode.toggleAttribute("hidden", values.every((value) => value === 0));
    const top = Math.max(1, ...values);
    const at = values.map((one, i) => `${((i + 60 - values.length) / 59) * WIDTH} ${HEIGHT - 2 - (one / top) * (HEIGHT - 4)}`);
    line.setAttribute("d", `M${at.join("L")}`);
  }
}
