// Numbers with units, and ages in words.

const plain = new Intl.NumberFormat("en");
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const NONE = "–";

export const count = (n) => (n == null ? NONE : plain.format(n));

export const rate = (perSecond) =>
  perSecond == null ? NONE : `${perSecond < 10 ? tenths.format(perSecond) : count(Math.round(perSecond))}/s`;

export function milliseconds(ms) {
  if (ms == null) return NONE;
  if (ms < 1000) return `${count(ms)} ms`;
  return ms < 60_000 ? `${tenths.format(ms / 1000)} s` : age(ms);
}

export function microseconds(us) {
  if (us == null || !Number.isFinite(us)) return NONE;
  return us < 1000 ? `${tenths.format(us)} µs` : `${tenths.format(us / 1000)} ms`;
}

const UNITS = [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000], ["second", 1000]];

export function age(ms) {
  if (ms == null) return NONE;
  const [unit, length] = UNITS.find(([, length]) => ms >= length) ?? UNITS.at(-1);
  const units = Math.floor(ms / length);
  if (units === 0) return "under 1 second";
  return `${count(units)} ${unit}${units === 1 ? "" : "s"}`;
}

// By the host's clock: `now` is the time of the snapshot.
export const ago = (time, now) => (time ? `${age(Math.max(0, now - Date.parse(time)))} ago` : NONE);

export function until(time, now) {
  const left = Date.parse(time) - now;
  return left > 0 ? `in ${age(left)}` : "due now";
}

export const clock = (time) => (time ? new Date(time).toLocaleTimeString() : NONE);

export const score = (n) => (n == null ? NONE : String(Math.round(n * 1000) / 1000));

export const digest = (hex) => (hex ? hex.slice(0, 12) : NONE);

// The first of a guest's many words; "why?" and "errors" show them all.
export function brief(text) {
  const line = text?.split("\n").find((line) => line.trim()) ?? "";
  return line.length > 120 ? `${line.slice(0, 120)}…` : line;
}

// Ids that differ in their last digits stay apart.
export const shortened = (id) => (id.length > 24 ? `${id.slice(0, 10)}…${id.slice(-10)}` : id);
