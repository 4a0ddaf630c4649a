// Takes each snapshot to the panels.

import { deadPanel } from "./dead.js";
import { highPanel } from "./decisions.js";
import { el, say } from "./dom.js";
import { flowsPanel } from "./flows.js";
import { clock } from "./format.js";
import { oraclesPanel } from "./oracles.js";
import { pendingPanel } from "./pending.js";
import { postPanel } from "./post.js";
import { follow } from "./stream.js";

const at = (id) => document.getElementById(id);

const posting = postPanel(at("post"));
const panels = [
  flowsPanel(at("flows"), at("totals")),
  oraclesPanel(at("oracles")),
  highPanel(at("high")),
  pendingPanel(at("pending")),
  deadPanel(at("dead")),
  posting.show,
];

// Options of a select, without taking the choice from under a person.
function offer(select, names, kept) {
  const known = [...select.options].slice(kept).map((option) => option.value);
  if (known.join("\n") === names.join("\n")) return false;
  const chosen = select.value;
  [...select.options].slice(kept).forEach((option) => option.remove());
  select.append(...names.map((name) => el("option", { value: name }, name)));
  if (names.includes(chosen)) select.value = chosen;
  return select.value !== chosen;
}

function flowNames(flows) {
  if (!flows.known) return;
  const names = flows.known.map((flow) => flow.name);
  offer(at("dead").querySelector("select[name=flow]"), names, 1);
  const running = flows.known.filter((flow) => flow.state === "running").map((flow) => flow.name);
  const select = at("post").querySelector("select[name=flow]");
  const first = select.options.length === 0;
  let changed = offer(select, running, 0);
  // What most people come for.
  if (first && running.includes("transactions")) {
    select.value = "transactions";
    changed = true;
  }
  if (changed) posting.sample();
}

function parts({ known, unknown }) {
  const words = known
    ? ["redis", "postgres"].map((part) => [part, known[part]])
    : [["parts", `not known: ${unknown}`]];
  const shown = words.map(([part, word]) =>
    el("li", { class: word === "ok" ? "good" : "bad" }, `${word === "ok" ? "●" : "✕"} ${part}: ${word}`),
  );
  const text = shown.map((item) => item.textContent).join();
  if (at("parts").dataset.text === text) return;
  at("parts").dataset.text = text;
  at("parts").replaceChildren(...shown);
}

function snapshot(one) {
  const now = Date.parse(one.at);
  say(at("version"), one.version);
  parts(one.parts);
  flowNames(one.flows);
  panels.forEach((panel) => panel(one, now));
}

// Without access it resolves when a person wants to try again.
function state(broken) {
  document.body.classList.toggle("stale", broken !== null);
  const [token, connection] = [at("token"), at("connection")];
  token.hidden = !broken?.access;
  if (!broken) return say(connection, "● connected", "good");
  if (!broken.access) return say(connection, `✕ not connected since ${clock(broken.since)}, trying again`, "bad");
  say(connection, "✕ no access without the admin token", "bad");
  return new Promise((resolve) => token.addEventListener("click", resolve, { once: true }));
}

follow(snapshot, state);
