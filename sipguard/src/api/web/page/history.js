// The last five minutes, second by second.

const KEPT = 300;
/** Seconds over which sources are added up. */
const RECENT = 10;
const RATES = ["rate", "dropped", "options", "register", "invite"];
/** Layers of a chart that can be told apart. */
const LAYERS = 8;

export class History {
  #pulses = [];

  fill(pulses) {
    this.#pulses = pulses.slice(-KEPT);
  }

  add(pulse) {
    const last = this.last();
    if (last && Date.parse(pulse.time) <= Date.parse(last.time)) return;
    this.#pulses.push(pulse);
    if (this.#pulses.length > KEPT) this.#pulses.shift();
  }

  last() {
    return this.#pulses.at(-1);
  }

  times() {
    return this.#pulses.map((pulse) => Date.parse(pulse.time));
  }

  values(read) {
    return this.#pulses.map(read);
  }

  /** A series for each rule, the largest at the bottom; small ones together. */
  rules(read, colour, other) {
    const all = new Map();
    this.#pulses.forEach((pulse, i) => {
      for (const rule of pulse.rules) {
        const value = read(rule);
        if (!(value > 0)) continue;
        if (!all.has(rule.rule)) all.set(rule.rule, new Array(this.#pulses.length).fill(0));
        all.get(rule.rule)[i] = value;
      }
    });
    const sum = (values) => values.reduce((a, b) => a + b, 0);
    const ranked = [...all].sort(([, a], [, b]) => sum(b) - sum(a));
    const series = ranked.slice(0, LAYERS).map(([name, values]) => ({ name, values, colour: colour(name) }));
    const rest = ranked.slice(LAYERS).map(([, values]) => values);
    if (rest.length > 0) {
      const values = this.#pulses.map((_, i) => sum(rest.map((one) => one[i])));
      series.push({ name: `${rest.length} others`, values, colour: other });
    }
    return series;
  }

  replies(colours) {
    const names = Object.keys(colours).filter((name) =>
      this.#pulses.some((pulse) => pulse.replies.some((one) => one.class === name && one.rate > 0)));
    return names.map((name) => ({
      name,
      colour: colours[name],
      values: this.#pulses.map((pulse) => pulse.replies.find((one) => one.class === name)?.rate ?? 0),
    }));
  }

  /** The busiest sources of the last seconds, so that the order is calm. */
  sources(most) {
    const recent = this.#pulses.slice(-RECENT);
    const all = new Map();
    for (const pulse of recent) {
      for (const source of pulse.sources) {
        const sum = all.get(source.source);
        const rates = RATES.map((key) => [key, (sum?.[key] ?? 0) + source[key] / recent.length]);
        // What is no rate is as it was last.
        all.set(source.source, { ...source, ...Object.fromEntries(rates) });
      }
    }
    return [...all.values()].filter((one) => one.rate > 0).sort((a, b) => b.rate - a.rate).slice(0, most);
  }
}
