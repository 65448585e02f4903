// All that holds for one address.

import * as api from "./api.js";
import { byId, el, say } from "./dom.js";
import { day, left } from "./format.js";

const until = (text) => (text ? `${left(Date.parse(text))} left` : "no end");

function facts(title, items) {
  if (items.length === 0) return null;
  return el("section", {}, el("h3", { text: title }),
    el("ul", {}, ...items.map((words) => el("li", { text: words.filter(Boolean).join(" · ") }))));
}

const STANDINGS = {
  trusted: "Trusted: it wins over every block and limit.",
  blocked: "Blocked: everything that it sends is dropped.",
  banned: "Banned by sipguard, for a time.",
  verified: "The server has accepted an endpoint of it.",
  site: "The server has accepted others at this address.",
  stranger: "A stranger: limits and signatures decide.",
};

function body(why) {
  const { standing, trusted, blocked, banned, verified, failures, levels, history, undo } = why;
  const listed = (one) => [one.target, one.name, one.origin, one.reason, until(one.until)];
  return [
    el("p", { class: "standing" }, el("b", { text: standing }), el("span", { text: STANDINGS[standing] ?? "" })),
    facts("Trusted by", trusted.map(listed)),
    facts("Blocked by", blocked.map(listed)),
    facts("Bans", banned.map((one) => [one.source, one.port && `port ${one.port}/${one.transport}`, one.rule, one.signature,
      one.failures > 0 && `${one.failures} failures`, until(one.until)])),
    facts("Verified endpoints", verified.map((one) => [`port ${one.port}/${one.transport}`, one.how, one.status && `last reply ${one.status}`, until(one.until)])),
    facts("Refused by the server", failures.map((one) => [one.port ? `port ${one.port}/${one.transport}` : "all ports",
      one.passwords > 0 && `${one.passwords} wrong passwords`, one.harvest > 0 && `${one.harvest} challenges or unknown users`, one.status && `last ${one.status}`])),
    facts("What it may send now", levels.source.map((one) => [one.name, `${one.left} of ${one.burst}`])),
    facts("History", history.slice(-8).toReversed().map((one) => [day(Date.parse(one.time)), one.type, one.by, one.new])),
    facts("To take it back", undo.map((words) => [words])),
  ].filter(Boolean);
}

export async function explain(source) {
  const address = source.split("/")[0];
  const dialog = byId("why-dialog");
  say(byId("why-title"), address);
  byId("why-body").replaceChildren(el("p", { class: "hint", text: "asking…" }));
  dialog.showModal();
  try {
    byId("why-body").replaceChildren(...body(await api.why(address)));
  } catch (error) {
    byId("why-body").replaceChildren(el("p", { class: "hint problem", text: error.message }));
  }
}
