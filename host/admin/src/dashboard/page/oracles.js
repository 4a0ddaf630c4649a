import { path, post } from "./api.js";
import { confirm, show } from "./dialogs.js";
import { button, el, lines, say } from "./dom.js";
import { ago, brief, count, digest, microseconds, shortened } from "./format.js";
import { makeTable } from "./table.js";

function state(oracle, now) {
  const told = [];
  if (oracle.refused) {
    told.push([`✕ swap refused ${ago(oracle.refused.at, now)}`, "bad"]);
    told.push([brief(oracle.refused.error), "bad"]);
  }
  if (!oracle.digest) told.push(["▲ waiting for its file", "warn"]);
  else if (oracle.pinned) told.push(["■ pinned", "warn"]);
  else if (oracle.rolled_back) told.push([`◀ rolled back from ${digest(oracle.rolled_back)}`, "warn"]);
  else if (!oracle.refused) told.push(["● in force", "good"]);
  for (const { flow, standing, digest: by, reason } of oracle.in_flows ?? []) {
    if (standing === "held") told.push([`✕ holds ${flow}: ${brief(reason)}`, "bad"]);
    if (standing === "passed-over") told.push([`◀ passed over in ${flow} for ${digest(by)}`, "bad"]);
    if (standing === "suspected") told.push([`▲ suspected in ${flow}: ${brief(reason)}`, "warn"]);
  }
  if (oracle.last_error && oracle.last_error !== oracle.refused?.error) {
    told.push([`last error: ${brief(oracle.last_error)}`, "hint"]);
  }
  return told;
}

async function rollBack({ name, digest: from, rollback }) {
  const text = `${name} goes back from ${digest(from)} to ${digest(rollback.to)} on every worker, within a second or two, until another file is dropped.`;
  if (!(await confirm(`Roll back ${name}?`, [text], "Roll back"))) return;
  try {
    await post(path("oracles", name, "rollback"));
  } catch (error) {
    await show(`${name} was not rolled back`, el("p", {}, error.message));
  }
}

const errors = ({ refused, last_error }) =>
  [refused?.error, last_error].filter((error, at, all) => error && all.indexOf(error) === at);

const showErrors = (oracle) =>
  show(`Errors of ${oracle.name}`, ...errors(oracle).map((error) => el("pre", { tabindex: "0" }, error)));

const actions = (row) => [
  button("roll back", () => rollBack(row.item), `roll back ${row.item.name}`),
  button("errors", () => showErrors(row.item), `errors of ${row.item.name}`),
];

// Where there is something to go back to, or to read.
function offerActions(cell, oracle) {
  const [back, said] = cell.children;
  back.hidden = !oracle.rollback;
  said.hidden = errors(oracle).length === 0;
}

export function oraclesPanel(section) {
  const rows = makeTable(section.querySelector(".rows"), {
    caption: "What every worker runs; counts and cost are since its last swap.",
    empty: "No worker says that it runs an oracle.",
    key: (oracle) => `${oracle.worker} ${oracle.name}`,
    look: (oracle) => (oracle.refused ? "refused" : ""),
    columns: [
      { label: "Oracle", show: (cell, oracle) => say(cell, oracle.name) },
      { label: "State", show: (cell, oracle, now) => lines(cell, state(oracle, now)) },
      { label: "Digest", narrow: true, show: (cell, oracle) => say(cell, digest(oracle.digest), "code digest") },
      {
        label: "Cost per entry",
        number: true,
        show: (cell, oracle) => say(cell, microseconds(oracle.judging_us / oracle.entries)),
      },
      { label: "Entries", number: true, show: (cell, oracle) => say(cell, count(oracle.entries)) },
      { label: "Faults", number: true, show: (cell, oracle) => say(cell, count(oracle.faults)) },
      { label: "Last swap", narrow: true, show: (cell, oracle, now) => say(cell, ago(oracle.since, now)) },
      { label: "Worker", narrow: true, show: (cell, { worker }) => say(cell, shortened(worker), "code") },
      { label: "Action", make: actions, show: offerActions },
    ],
  });
  return (snapshot, now) => rows.showPart(snapshot.oracles, now);
}
