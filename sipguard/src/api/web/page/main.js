// The dashboard: what the daemon tells, shown.

import { enter, onChange, readSession, toggleLock } from "./actions.js";
import * as alerts from "./alerts.js";
import * as api from "./api.js";
import { Chart } from "./chart.js";
import { OTHER, REPLIES, ofRule } from "./colours.js";
import { byId, el, say } from "./dom.js";
import * as events from "./events.js";
import { time } from "./format.js";
import { History } from "./history.js";
import * as lists from "./lists.js";
import { follow } from "./live.js";
import * as sources from "./sources.js";
import * as tiles from "./tiles.js";

const VIEWS = {
  dropped: { name: "Dropped", title: "Dropped by rule", read: (rule) => (rule.verdict === "drop" ? rule.rate : 0) },
  would: { name: "Would drop", title: "Would have been dropped by rule", read: (rule) => rule.would_rate },
  all: { name: "All", title: "All packets by rule", read: (rule) => rule.rate },
};

const history = new History();
const rules = new Chart(byId("rules-chart"), byId("rules-legend"), "Packets a second by rule");
const replies = new Chart(byId("replies-chart"), byId("replies-legend"), "Replies a second by class");
let view = "dropped";
let version = null;

function draw() {
  const times = history.times();
  rules.show(times, history.rules(VIEWS[view].read, ofRule, OTHER));
  replies.show(times, history.replies(REPLIES));
}

function show() {
  const pulse = history.last();
  if (!pulse) return;
  tiles.show(history);
  sources.show(history);
  lists.counts(pulse);
  events.losses(pulse);
  posture(pulse.posture);
  document.title = pulse.dropped >= 1 ? `${Math.round(pulse.dropped)}/s dropped · sipguard` : "sipguard";
  if (!document.hidden) draw();
}

function posture(name) {
  const pill = byId("posture");
  pill.hidden = false;
  pill.dataset.posture = name;
  say(pill, `posture ${name}`);
}

async function status() {
  const now = await api.get("/v1/status");
  // Another version has another page.
  if (version && version !== now.version) location.reload();
  version = now.version;
  posture(now.posture.posture);
  byId("interfaces").replaceChildren(...now.interfaces.map((one) =>
    el("span", { class: `chip ${one.mode === "native" ? "good" : "warn"}`, title: one.note ?? "", text: `${one.name} ${one.mode}` })));
  const since = `protecting since ${new Date(now.since).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short", hour12: false })}`;
  say(byId("about"), `sipguard ${now.version} · ${since} · ${now.signatures} signatures`);
}

function linked(state, words) {
  const link = byId("link");
  link.dataset.state = state;
  say(link.lastElementChild, words);
  document.body.classList.toggle("stale", state === "gone");
}

/** The daemon is there, for the first time or again. */
async function opened() {
  events.clear();
  linked("live", "live");
  byId("gone").hidden = true;
  try {
    history.fill(await api.lines("/v1/pulse?last=300"));
    await Promise.all([status(), readSession(), lists.refresh()]);
  } catch (error) {
    if (error.status === 401) location.assign("/");
  }
  show();
}

function lost() {
  if (byId("link").dataset.state === "gone") return;
  linked("gone", "not connected");
  const last = history.last();
  const seen = last ? ` What you see is from ${time(Date.parse(last.time))}.` : "";
  say(byId("gone"), `The daemon does not answer. Packets may be filtered or not: look on the host.${seen} Trying again…`);
  byId("gone").hidden = false;
}

function choices() {
  const choice = byId("rules-choice");
  for (const [key, { name, title }] of Object.entries(VIEWS)) {
    choice.append(el("button", { type: "button", text: name, "aria-pressed": String(key === view), onclick: (event) => {
      view = key;
      for (const other of choice.children) other.setAttribute("aria-pressed", other === event.currentTarget);
      say(byId("rules-title"), title);
      draw();
    } }));
  }
}

/** The address that `sipguard dashboard` prints has the token behind the #. */
async function takeToken() {
  const [, token] = /^#token=([0-9a-f]{64})$/i.exec(location.hash) ?? [];
  if (!token) return;
  window.history.replaceState(null, "", location.pathname);
  await api.login(token);
}

async function start() {
  await takeToken();
  tiles.start();
  lists.start();
  events.start();
  choices();
  onChange(lists.refresh);
  byId("block").addEventListener("click", () => enter("block"));
  byId("lock").addEventListener("click", toggleLock);
  for (const button of document.querySelectorAll("[data-close]")) {
    button.addEventListener("click", () => button.closest("dialog").close());
  }
  document.addEventListener("visibilitychange", show);
  follow({ opened, lost, event: events.add, alerts: alerts.show, pulse: (pulse) => {
    history.add(pulse);
    show();
  } });
}

start();
