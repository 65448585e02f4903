// Who sends most.

import { enter, unblock } from "./actions.js";
import { byId, el, Rows, say } from "./dom.js";
import { number } from "./format.js";
import { explain } from "./why.js";

const SHOWN = 10;
const METHODS = ["options", "register", "invite"];
const GOOD = ["trusted", "verified", "site"];

export const chip = (text, kind) => el("span", { class: `chip ${kind ?? ""}`, text });

/** How the standing of a source is coloured. */
export const tone = (standing) =>
  GOOD.includes(standing) ? "good" : ["banned", "blocked"].includes(standing) ? "bad" : "";

function make({ source }) {
  const bar = el("i", { class: "bar" });
  const rate = el("b");
  const dropped = el("span");
  const methods = el("span", { class: "mix" });
  const rule = el("span", { class: "rule" });
  const standing = el("span", { class: "chip" });
  let now;
  const main = el("button", { type: "button", class: "small", onclick: () =>
    (["banned", "blocked"].includes(now.standing) ? unblock(source) : enter("block", source)) });
  const allow = el("button", { type: "button", class: "small quiet", text: "Trust", onclick: () => enter("allow", source) });
  const why = el("button", { type: "button", class: "small quiet", text: "Why", onclick: () => explain(source) });
  const element = el("tr", { "data-source": source },
    el("th", { scope: "row" }, el("span", { class: "address", text: source })),
    el("td", { class: "number", "data-name": "rate" }, rate, bar),
    el("td", { class: "number", "data-name": "dropped" }, dropped),
    el("td", { "data-name": "methods" }, methods),
    el("td", { "data-name": "rule" }, rule),
    el("td", { "data-name": "standing" }, standing),
    el("td", { class: "actions" }, main, allow, why));
  const update = (item) => {
    now = item;
    say(rate, `${item.estimated ? "≈ " : ""}${number(item.rate)}`);
    bar.style.setProperty("width", `${Math.max(2, (100 * item.rate) / item.most)}%`);
    bar.style.setProperty("--lost", `${item.rate > 0 ? Math.min(100, (100 * item.dropped) / item.rate) : 0}%`);
    say(dropped, item.rate > 0 ? `${Math.round(Math.min(100, (100 * item.dropped) / item.rate))} %` : "–");
    const mix = METHODS.filter((method) => item[method] > 0)
      .map((method) => `${method.toUpperCase()} ${number(item[method])}`);
    say(methods, mix.join(" · ") || (item.method ?? "–"));
    say(rule, item.rule);
    say(standing, item.standing);
    standing.className = `chip ${tone(item.standing)}`;
    say(main, { banned: "Unban", blocked: "Unblock" }[item.standing] ?? "Block");
    main.setAttribute("aria-label", `${main.textContent} ${source}`);
    main.hidden = item.standing === "trusted";
    allow.hidden = item.standing === "trusted";
  };
  return { element, update };
}

const rows = new Rows(byId("sources"), make);

export function show(history) {
  const sources = history.sources(SHOWN);
  const most = Math.max(1, ...sources.map((one) => one.rate));
  rows.show(sources.map((one) => ({ ...one, most })), (one) => one.source);
  byId("sources-empty").hidden = byId("sources").children.length > 0;
}
