// Asking the daemon.

/** What the daemon refused, in its words. */
export class Refused extends Error {
  constructor(status, { error, hint }) {
    super(error);
    this.status = status;
    this.hint = hint;
  }
}

async function ask(path, options) {
  const answer = await fetch(path, options);
  if (!answer.ok) {
    const failure = await answer.json().catch(() => ({ error: `the daemon said ${answer.status}` }));
    throw new Refused(answer.status, failure);
  }
  return answer;
}

export const get = async (path) => (await ask(path)).json();

/** Lines of JSON. */
export async function lines(path) {
  const text = await (await ask(path)).text();
  return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

const post = async (path, body) => (await ask(path, { method: "POST", body: JSON.stringify(body) })).json();
const remove = async (path) => (await ask(path, { method: "DELETE" })).json();

const entry = (target, ttl, reason) => ({ target, ...(ttl && { ttl }), ...(reason && { reason }) });

export const block = (target, ttl, reason) => post("/v1/blocks", entry(target, ttl, reason));
export const unblock = (target) => remove(`/v1/blocks/${encodeURIComponent(target)}`);
export const allow = (target, ttl, reason) => post("/v1/trusted", entry(target, ttl, reason));
export const disallow = (target) => remove(`/v1/trusted/${encodeURIComponent(target)}`);

export const list = (kind, search, limit) =>
  get(`/v1/lists?kind=${kind}&limit=${limit}${search ? `&search=${encodeURIComponent(search)}` : ""}`)
    .then((lists) => lists[kind]);

export const why = (address) => get(`/v1/why/${encodeURIComponent(address)}`);

export const session = () => get("/session");
export const logout = () => fetch("/logout", { method: "POST" });

/** Gives the browser the token as a cookie; whether it was the right one. */
export async function login(token) {
  const answer = await fetch("/login", { method: "POST", body: `token=${token.trim()}` });
  return answer.ok;
}
