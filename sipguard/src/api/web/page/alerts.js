// What operators should know.

import { byId, el, Rows, say } from "./dom.js";
import { day } from "./format.js";

function make({ severity, since }) {
  const summary = el("span");
  const element = el("li", { "data-severity": severity }, el("b", { text: severity }), summary,
    el("time", { datetime: since, text: `since ${day(Date.parse(since))}` }));
  return { element, update: (alert) => say(summary, alert.summary) };
}

const rows = new Rows(byId("alerts"), make);

export function show(open) {
  rows.show(open, (alert) => alert.number);
  byId("alerts").hidden = open.length === 0;
}
