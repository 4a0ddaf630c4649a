// "why?": what became of an entry, and what it waits for.

import { get, path } from "./api.js";
import { show } from "./dialogs.js";
import { button, el } from "./dom.js";
import { count, digest, score } from "./format.js";

const STATES = {
  "never-seen": (why) => [
    ["State", "not known"],
    ["", `never appended, or settled and not kept more than ${why.remember} ago`],
  ],
  waiting: (why) => [
    ["State", "waiting: nobody has read it yet"],
    ["Since", why.since],
    ["Before it", `${count(why.ahead)} entries`],
    ["Held", why.held],
    ["Waits for", why.missing_oracle && `the oracle ${why.missing_oracle}, which no worker runs`],
  ],
  pending: (why) => [
    ["State", why.next_attempt ? "pending: it waits for its next attempt" : "pending: a worker holds it"],
    ["Held by", why.next_attempt ? null : why.owner],
    ["Deliveries", count(why.deliveries)],
    ["Attempts failed", count(why.attempts)],
    ["Next attempt", why.next_attempt],
    ["Last fault", why.fault],
    ["Error", why.last_error],
  ],
  decided: (why) => [
    ["State", "decided"],
    ["Label", why.label ?? "none: no oracle judges this flow"],
    ["Score", score(why.score)],
    ["Reasons", why.reasons.join(", ") || "none were given"],
    ...why.oracles.map((by) => ["Oracle", `${by.name} ${digest(by.digest)}: ${score(by.score)}`]),
    ...why.deliveries.map((to) => [
      "Delivery",
      `${to.downstream}: ${to.state}, ${count(to.attempts)} attempts${to.error ? `, ${to.error}` : ""}`,
    ]),
    ["Decided at", why.decided_at],
  ],
  "not-kept": (why) => [
    ["State", "decided, and not among what the flow keeps"],
    ["Received at", why.received_at],
  ],
  dead: (why) => [
    ["State", "dead letter"],
    ["Fault", why.fault],
    ["Error", why.error],
    ["Attempts", count(why.attempts)],
    ["Last attempt", why.last_at],
  ],
};

export const ask = (flow, id) => get(path("why", flow, id));

// In one line.
export function inShort(why) {
  if (why.state === "decided" && why.label) {
    const reasons = why.reasons.length ? `: ${why.reasons.join(", ")}` : "";
    return `${why.label}, score ${score(why.score)}${reasons}`;
  }
  const [[, state], [, more]] = STATES[why.state](why);
  return why.state === "dead" ? `${state}: ${more}` : state;
}

export const isOver = (why) => !["waiting", "pending"].includes(why.state);

export async function explain(flow, id) {
  let rows;
  try {
    const why = await ask(flow, id);
    rows = STATES[why.state](why);
  } catch (error) {
    rows = [["✕", error.message]];
  }
  const pairs = rows
    .filter(([, text]) => text)
    .flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]);
  await show(`Why? ${flow}`, el("p", { class: "code" }, id), el("dl", {}, ...pairs));
}

// A column of a table whose items have `flow` and `id`.
export const whyButton = (row) =>
  row.item.id ? button("why?", () => explain(row.item.flow, row.item.id), `why? ${row.item.id}`) : "";
