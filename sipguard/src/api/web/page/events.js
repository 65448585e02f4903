// Packets that were dropped, and bans, as they come.

import { byId, el, say } from "./dom.js";
import { ofRule } from "./colours.js";
import { time } from "./format.js";
import { explain } from "./why.js";

const SHOWN = 60;
/** Milliseconds between two changes of the list. */
const EVERY = 400;
/** Characters of a packet in its row. */
const LINE = 160;

let waiting = [];
let paused = false;

const at = (address, port) => (port === null ? address : address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`);

function row(event) {
  const { rule, signature, outcome, method, source, source_port, text, length, interface: where } = event;
  const dot = el("i", { class: "dot" });
  dot.style.setProperty("background", ofRule(rule));
  const head = el("summary", {},
    el("time", { datetime: event.time, text: time(Date.parse(event.time)) }),
    el("span", { class: `outcome ${outcome.startsWith("would") ? "would" : ""}`, text: outcome }),
    el("span", { class: "address", text: at(source, source_port) }),
    el("span", { class: "rule" }, dot, el("span", { text: signature ? `${rule} · ${signature}` : rule })),
    el("span", { class: "text" }, el("b", { text: agent(text) }), el("span", { text: firstLine(text) || (method ?? "") })));
  const facts = [method, event.transport, where, `to ${at(event.destination, event.destination_port)}`, length > 0 && `${length} bytes`];
  const body = el("div", { class: "packet" },
    el("p", {}, el("span", { text: facts.filter(Boolean).join(" · ") }),
      el("button", { type: "button", class: "small quiet", text: "Why", onclick: () => explain(source) })),
    text ? el("pre", { text }) : null);
  return el("li", {}, el("details", {}, head, body));
}

const firstLine = (text) => text.split("\n", 1)[0].slice(0, LINE);

/** What the sender calls itself. */
const agent = (text) => /^user-agent\s*:\s*(.*)$/im.exec(text)?.[1].slice(0, LINE) ?? "";

function show() {
  const list = byId("events");
  if (waiting.length === 0 || paused) return;
  list.prepend(...waiting.slice(-SHOWN).toReversed().map(row));
  waiting = [];
  while (list.children.length > SHOWN) list.lastChild.remove();
  byId("events-empty").hidden = true;
}

export function add(event) {
  if (event.missed) return;
  waiting.push(event);
  if (waiting.length > 10 * SHOWN) waiting = waiting.slice(-SHOWN);
}

/** The daemon tells the last ones again. */
export function clear() {
  waiting = [];
  byId("events").replaceChildren();
  byId("events-empty").hidden = false;
}

export function losses({ events_lost: lost, events_suppressed: held }) {
  const words = [held > 0 && `${held.toLocaleString("en")} more were held back by their limits`, lost > 0 && `${lost.toLocaleString("en")} were lost`];
  say(byId("events-note"), words.filter(Boolean).join(", "));
}

export function start() {
  const list = byId("events");
  const look = () => { paused = list.matches(":hover") || list.contains(document.activeElement); };
  for (const name of ["pointerenter", "pointerleave", "focusin", "focusout"]) list.addEventListener(name, () => setTimeout(look));
  setInterval(show, EVERY);
}
