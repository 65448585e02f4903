// Numbers and times for people.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const minutes = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
const days = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short", hour12: false });

/** 0, 0.4, 12, 1,234, 56.7k, 1.2M. */
export function number(value) {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  if (value < 10 && !Number.isInteger(value)) return value < 0.05 ? "0.1" : trim(value.toFixed(1));
  if (value < 10_000) return Math.round(value).toLocaleString("en");
  if (value < 1_000_000) return `${trim((value / 1000).toFixed(value < 100_000 ? 1 : 0))}k`;
  return `${trim((value / 1_000_000).toFixed(1))}M`;
}

const trim = (text) => text.replace(/\.0$/, "");

export const count = (value) => Math.round(value).toLocaleString("en");

export const time = (date) => clock.format(date);
export const minute = (date) => minutes.format(date);
export const day = (date) => days.format(date);

/** How long it is until then: `9 min 12 s`. */
export function left(until, now = Date.now()) {
  const seconds = Math.max(0, Math.round((until - now) / 1000));
  const [d, h, m] = [seconds / 86400, (seconds / 3600) % 24, (seconds / 60) % 60].map(Math.floor);
  if (d > 0) return `${d} d ${h} h`;
  if (h > 0) return `${h} h ${m} min`;
  return m > 0 ? `${m} min ${seconds % 60} s` : `${seconds} s`;
}

/** The same in the words of the API. */
export function ttl(until, now = Date.now()) {
  return `${Math.max(1, Math.round((until - now) / 1000))}s`;
}
