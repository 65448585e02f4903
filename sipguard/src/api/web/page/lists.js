// Bans, blocks, trusted peers and verified endpoints.

import { enter, disallow, unblock } from "./actions.js";
import * as api from "./api.js";
import { byId, el, Rows, say } from "./dom.js";
import { count, day, left } from "./format.js";
import { explain } from "./why.js";

const SHOWN = 100;
/** Milliseconds between two looks; files and feeds may be large. */
const EVERY = 4000;
const SELDOM = 20_000;
/** How long somebody types. */
const TYPING = 250;

const button = (text, label, act, quiet) =>
  el("button", { type: "button", class: `small ${quiet ? "quiet" : ""}`, text, "aria-label": label, onclick: act });

const port = ({ port: number, transport }) => (number ? ` port ${number}/${transport}` : "");

const LISTS = {
  banned: {
    name: "Bans",
    none: "Nobody is banned.",
    key: (one) => `${one.source}${port(one)}`,
    target: (one) => one.source,
    title: (one) => `${one.source}${port(one)}`,
    words: (one) => [one.rule, one.signature, one.failures > 0 && `${one.failures} failures`, !one.proven && "may be forged"],
    actions: (one) => [button("Unban", `Unban ${one.source}`, () => unblock(one.source, one))],
  },
  blocked: {
    name: "Blocked",
    none: "Nobody is blocked.",
    // Several feeds may have the same address.
    key: (one) => `${one.origin} ${one.target} ${one.name}`,
    target: (one) => one.target,
    title: (one) => one.target,
    every: SELDOM,
    words: (one) => [{ file: "blacklist.toml", feed: `feed ${one.name}` }[one.origin] ?? one.origin, one.reason],
    actions: (one) => one.origin === "operator" ? [button("Unblock", `Unblock ${one.target}`, () => unblock(one.target))] : [],
  },
  trusted: {
    name: "Trusted",
    none: "Nobody is trusted.",
    key: (one) => `${one.origin} ${one.target}`,
    target: (one) => one.target,
    title: (one) => one.target,
    every: SELDOM,
    words: (one) => [one.name, one.class, one.origin === "file" ? "trusted.toml" : "operator", one.reason],
    actions: (one) => one.origin === "operator" ? [button("Remove", `No longer trust ${one.target}`, () => disallow(one.target))] : [],
  },
  verified: {
    name: "Verified",
    none: "The server has accepted nobody yet.",
    key: (one) => `${one.address} ${one.port} ${one.transport}`,
    target: (one) => one.address,
    title: (one) => `${one.address} port ${one.port}/${one.transport}`,
    words: (one) => [one.how, one.status && `last reply ${one.status}`, !one.proven && "not proven"],
    actions: (one) => [button("Block", `Block ${one.address}`, () => enter("block", one.address), true)],
  },
};

let chosen = "banned";
let asked = 0;
let next = 0;

function make(first) {
  const list = LISTS[chosen];
  const words = el("span", { class: "words" });
  const rest = el("span", { class: "rest" });
  const bar = el("i", { class: "life" });
  const single = !list.target(first).includes("/") || list === LISTS.banned;
  const why = single ? button("Why", `Why ${list.target(first)}`, () => explain(list.target(first)), true) : null;
  const element = el("li", { "data-target": list.target(first) },
    el("div", { class: "what" }, el("span", { class: "address", text: list.title(first) }), words),
    el("div", { class: "when" }, rest, bar),
    el("div", { class: "actions" }, ...list.actions(first), why));
  const update = (one) => {
    say(words, list.words(one).filter(Boolean).join(" · "));
    const until = one.until ? Date.parse(one.until) : null;
    const since = Date.parse(one.since ?? one.added ?? "");
    say(rest, until ? `${left(until)} left` : "no end");
    element.title = until ? `until ${day(until)}` : "";
    const share = until && since ? (until - Date.now()) / (until - since) : 1;
    bar.style.setProperty("width", `${Math.max(0, Math.min(1, share)) * 100}%`);
  };
  return { element, update };
}

const all = Object.fromEntries(Object.keys(LISTS).map((kind) => {
  const host = el("ul", { class: "entries" });
  return [kind, { host, rows: new Rows(host, make), items: [] }];
}));

/** Looks again. */
export async function refresh() {
  const [kind, turn] = [chosen, ++asked];
  next = Date.now() + (LISTS[kind].every ?? EVERY);
  let items;
  try {
    items = await api.list(kind, byId("search").value.trim(), SHOWN + 1);
  } catch {
    // The banner says it where the daemon is gone.
    return;
  }
  if (turn !== asked) return;
  all[kind].items = items;
  show();
}

function show() {
  const { rows, items } = all[chosen];
  const list = LISTS[chosen];
  // What has ended meanwhile is gone before anybody has asked.
  const held = items.filter((one) => !one.until || Date.parse(one.until) > Date.now());
  rows.show(held.slice(0, SHOWN), list.key);
  const empty = byId("entries-empty");
  empty.hidden = held.length > 0;
  say(empty, byId("search").value ? "Nobody matches." : list.none);
  const more = byId("entries-more");
  more.hidden = items.length <= SHOWN;
  say(more, `The first ${SHOWN} are shown: search for the others.`);
}

function choose(kind) {
  chosen = kind;
  for (const tab of byId("tabs").children) {
    const is = tab.dataset.kind === kind;
    tab.setAttribute("aria-selected", is);
    tab.tabIndex = is ? 0 : -1;
  }
  byId("panel").setAttribute("aria-labelledby", `tab-${kind}`);
  byId("panel").querySelector("ul").replaceWith(all[kind].host);
  show();
  refresh();
}

/** The arrow keys go from tab to tab. */
function walk(event) {
  const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!move) return;
  const tabs = [...byId("tabs").children];
  const next = tabs.at((tabs.indexOf(event.target) + move) % tabs.length);
  next.focus();
  choose(next.dataset.kind);
}

/** The numbers of the tabs. */
export function counts(pulse) {
  for (const tab of byId("tabs").children) say(tab.lastChild, count(pulse[tab.dataset.kind]));
}

export function start() {
  for (const [kind, { name }] of Object.entries(LISTS)) {
    byId("tabs").append(el("button", { type: "button", role: "tab", id: `tab-${kind}`, "data-kind": kind, "aria-controls": "panel",
      onclick: () => choose(kind) }, el("span", { text: name }), el("b", { text: "" })));
  }
  byId("tabs").addEventListener("keydown", walk);
  let typing;
  byId("search").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(refresh, TYPING);
  });
  choose(chosen);
  setInterval(() => {
    if (!document.hidden && Date.now() >= next) refresh();
    show();
  }, 1000);
}
