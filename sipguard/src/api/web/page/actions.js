// What can be done from the page, each with its way back.

import * as api from "./api.js";
import { byId, say } from "./dom.js";
import { day, ttl } from "./format.js";
import { toast } from "./toast.js";

let unlocked = false;
let changed = () => {};

/** Whom to call when something was changed. */
export function onChange(call) {
  changed = call;
}

export async function readSession() {
  unlocked = (await api.session()).changes;
  say(byId("lock"), unlocked ? "Lock" : "Unlock");
  say(byId("lock-hint"), unlocked ? "This browser may change things" : "Changes need the token");
}

/** Opens a dialog; resolves with whether its form was sent. */
function answered(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "sent"), { once: true });
  });
}

/** Lets `attempt` have the form each time that it is sent, until it gives true. */
function onSend(dialog, problem, attempt) {
  dialog.querySelector("form").onsubmit = async (event) => {
    event.preventDefault();
    problem.hidden = true;
    const wrong = await attempt();
    if (!wrong) return dialog.close("sent");
    say(problem, wrong);
    problem.hidden = false;
  };
}

/** Asks for the token where this browser does not have it. */
async function mayChange() {
  if (unlocked) return true;
  const [dialog, field, problem] = ["token-dialog", "token", "token-problem"].map(byId);
  field.value = "";
  problem.hidden = true;
  onSend(dialog, problem, async () => {
    if (!(await api.login(field.value))) return "That is not the token.";
    field.value = "";
    await readSession();
    return null;
  });
  return answered(dialog);
}

export async function toggleLock() {
  if (!unlocked) return mayChange();
  await api.logout();
  return readSession();
}

/** Does something that the daemon may refuse. */
async function attempt(work) {
  if (!(await mayChange())) return;
  try {
    await work();
  } catch (error) {
    if (error.status === 401) await readSession();
    toast(error.message, { problem: true, hint: error.hint });
  }
  changed();
}

const holds = (until) => (until ? `until ${day(Date.parse(until))}` : "without end");

/** The operator's entry as it is, to be able to make it again. */
async function present(kind, target) {
  const list = await api.list(kind, target, 100);
  return list.find((one) => one.origin === "operator" && one.target === target);
}

const again = (make, old) => () =>
  attempt(() => make(old.target, old.until && ttl(Date.parse(old.until)), old.reason));

const VERBS = {
  block: { kind: "blocked", make: api.block, take: api.unblock, done: "Blocked", title: "Block", button: "Block" },
  allow: { kind: "trusted", make: api.allow, take: api.disallow, done: "Trusted", title: "Trust", button: "Trust" },
};

/** Asks for how long, and blocks or trusts. */
export async function enter(verb, target = "") {
  if (!(await mayChange())) return;
  const { kind, make, take, done, title, button } = VERBS[verb];
  const [dialog, field, reason, problem] = ["entry-dialog", "entry-target", "entry-reason", "entry-problem"].map(byId);
  say(byId("entry-title"), target ? `${title} ${target}` : title);
  say(byId("entry-do"), button);
  [field.value, reason.value, problem.hidden] = [target, "", true];
  onSend(dialog, problem, async () => {
    try {
      const wanted = field.value.trim();
      const span = dialog.querySelector("input[name=ttl]:checked").value;
      const old = await present(kind, wanted);
      const added = await make(wanted, span, reason.value.trim());
      const undo = old ? again(make, old) : () => attempt(() => take(added.target));
      toast(`${done} ${added.target} ${holds(added.until)}`, { undo, hint: added.notes.join("; ") });
      changed();
      return null;
    } catch (error) {
      return error.hint ? `${error.message}: ${error.hint}` : error.message;
    }
  });
  await answered(dialog);
}

const held = (still) =>
  still.length > 0 ? `still: ${still.map((one) => `${one.target} (${one.feed ?? one.origin})`).join(", ")}` : undefined;

/** Takes back a block, and lifts bans; `ban` is the one that is shown, if any. */
export const unblock = (target, ban) => attempt(async () => {
  const old = await present("blocked", target);
  const { listed, unbanned, still } = await api.unblock(target);
  const words = [listed && `Unblocked ${target}`, unbanned > 0 && `Lifted ${unbanned === 1 ? "the ban" : `${unbanned} bans`} of ${target}`];
  const back = old ?? (ban && { target, until: ban.until, reason: `was banned by rule ${ban.rule}` });
  toast(words.filter(Boolean).join("; "), { undo: back && again(api.block, back), hint: held(still) });
});

export const disallow = (target) => attempt(async () => {
  const old = await present("trusted", target);
  const { still } = await api.disallow(target);
  toast(`No longer trusted: ${target}`, { undo: old && again(api.allow, old), hint: held(still) });
});
