// Stacked areas over time, as SVG.

import { el, say, svg } from "./dom.js";
import { minute, number, time } from "./format.js";

const EDGE = { top: 10, right: 6, bottom: 22, left: 44 };
/** Milliseconds without data that are drawn as a gap. */
const GAP = 4000;
/** The least that is drawn: fewer minutes of history shall not look full. */
const LEAST = 60_000;
const MOST = 300_000;

/** The least of 1, 2, 5, 10, … of which four reach the top. */
function step(top) {
  const raw = Math.max(top, 1) / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= raw);
}

export class Chart {
  #data = { times: [], series: [] };
  #cursor = null;

  constructor(host, legend, name) {
    this.host = host;
    this.legend = legend;
    this.name = name;
    this.area = svg("svg", { role: "img", tabindex: "0" });
    this.tip = el("div", { class: "tip", hidden: true });
    host.append(this.area, this.tip);
    this.area.addEventListener("pointermove", (event) => this.#point(event));
    this.area.addEventListener("pointerleave", () => this.#put(null));
    this.area.addEventListener("blur", () => this.#put(null));
    this.area.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.draw()).observe(host);
  }

  /** `times` in milliseconds; each series has as many values. */
  show(times, series) {
    this.#data = { times, series };
    this.draw();
    this.#tell();
  }

  #tell() {
    const { series } = this.#data;
    const shown = series.map((one) => `${one.name} ${number(one.values.at(-1) ?? 0)}`);
    this.area.setAttribute("aria-label", `${this.name}: ${shown.join(", ") || "nothing"}`);
    const items = series.map((one) => {
      const swatch = svg("svg", { viewBox: "0 0 10 10", class: "swatch", "aria-hidden": "true" },
        svg("rect", { width: 10, height: 10, rx: 3, fill: one.colour }));
      return el("li", {}, swatch, el("span", { text: one.name }),
        el("b", { text: number(one.values.at(-1) ?? 0) }));
    });
    this.legend.replaceChildren(...items);
  }

  #scale() {
    const { times, series } = this.#data;
    const { width, height } = this.host.getBoundingClientRect();
    const end = times.at(-1) ?? Date.now();
    const span = Math.min(MOST, Math.max(LEAST, end - (times[0] ?? end)));
    const sums = times.map((_, i) => series.reduce((sum, one) => sum + one.values[i], 0));
    const most = Math.max(1, ...sums);
    const unit = step(most);
    const top = unit * Math.ceil(most / unit);
    const x = (at) => EDGE.left + (1 - (end - at) / span) * (width - EDGE.left - EDGE.right);
    const y = (value) => height - EDGE.bottom - (value / top) * (height - EDGE.top - EDGE.bottom);
    return { width, height, end, span, unit, top, x, y };
  }

  draw() {
    const scale = this.#scale();
    if (scale.width < 60) return;
    this.area.setAttribute("viewBox", `0 0 ${scale.width} ${scale.height}`);
    this.area.replaceChildren(this.#grid(scale), ...this.#layers(scale));
    this.#mark(scale);
  }

  #grid({ width, height, end, span, unit, top, x, y }) {
    const grid = svg("g", { class: "grid" });
    for (let value = 0; value <= top + unit / 2; value += unit) {
      grid.append(svg("line", { x1: EDGE.left, x2: width - EDGE.right, y1: y(value), y2: y(value) }),
        svg("text", { x: EDGE.left - 8, y: y(value) + 4, "text-anchor": "end", text: number(value) }));
    }
    const room = (width - EDGE.left) / 90;
    const each = [30_000, 60_000, 120_000].find((one) => span / one <= room) ?? 300_000;
    for (let at = Math.ceil((end - span) / each) * each; at <= end; at += each) {
      if (x(at) < EDGE.left + 20 || x(at) > width - 32) continue;
      const text = each < 60_000 ? time(at) : minute(at);
      grid.append(svg("text", { x: x(at), y: height - 5, "text-anchor": "middle", text }));
    }
    return grid;
  }

  #layers({ end, span, x, y }) {
    const { times, series } = this.#data;
    const from = times.findIndex((at) => at >= end - span);
    const floor = times.map(() => 0);
    return series.flatMap((one) => {
      const low = [...floor];
      one.values.forEach((value, i) => { floor[i] += value; });
      const [edge, shape] = [[], []];
      for (let start = Math.max(0, from); start < times.length;) {
        let stop = start + 1;
        while (stop < times.length && times[stop] - times[stop - 1] < GAP) stop += 1;
        const at = Array.from({ length: stop - start }, (_, i) => start + i);
        const up = at.map((i) => `${x(times[i]).toFixed(1)} ${y(floor[i]).toFixed(1)}`);
        const down = at.toReversed().map((i) => `${x(times[i]).toFixed(1)} ${y(low[i]).toFixed(1)}`);
        edge.push(`M${up.join("L")}`);
        shape.push(`M${up.join("L")}L${down.join("L")}Z`);
        start = stop;
      }
      return [
        svg("path", { d: shape.join(""), fill: one.colour, class: "layer" }),
        svg("path", { d: edge.join(""), stroke: one.colour, class: "edge" }),
      ];
    });
  }

  #point(event) {
    const { left, width } = this.host.getBoundingClientRect();
    const { end, span } = this.#scale();
    const share = (event.clientX - left - EDGE.left) / (width - EDGE.left - EDGE.right);
    this.#put(end - (1 - share) * span);
  }

  #key(event) {
    const { times } = this.#data;
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") this.#put(null);
    if (!move || times.length === 0) return;
    event.preventDefault();
    const now = this.#cursor === null ? times.length - 1 : this.#nearest() + move;
    this.#put(times[Math.min(times.length - 1, Math.max(0, now))]);
  }

  #put(cursor) {
    this.#cursor = cursor;
    this.draw();
  }

  #nearest() {
    const distance = (at) => Math.abs(at - this.#cursor);
    return this.#data.times.reduce((best, at, i, all) => (distance(at) < distance(all[best]) ? i : best), 0);
  }

  #mark({ width, height, x }) {
    const { times, series } = this.#data;
    const i = this.#cursor === null ? -1 : this.#nearest();
    this.tip.hidden = i < 0 || times.length === 0;
    if (this.tip.hidden) return;
    const at = x(times[i]);
    this.area.append(svg("line", { class: "cursor", x1: at, x2: at, y1: EDGE.top, y2: height - EDGE.bottom }));
    const some = series.filter((one) => one.values[i] > 0).toReversed();
    const rows = some.map((one) => el("li", {},
      svg("svg", { viewBox: "0 0 10 10", class: "swatch" }, svg("rect", { width: 10, height: 10, rx: 3, fill: one.colour })),
      el("span", { text: one.name }), el("b", { text: number(one.values[i]) })));
    const head = el("p");
    say(head, time(times[i]));
    this.tip.replaceChildren(head, rows.length ? el("ul", {}, ...rows) : el("p", { text: "nothing" }));
    const right = at > width / 2;
    this.tip.style.setProperty("left", right ? "auto" : `${at + 12}px`);
    this.tip.style.setProperty("right", right ? `${width - at + 12}px` : "auto");
  }
}
