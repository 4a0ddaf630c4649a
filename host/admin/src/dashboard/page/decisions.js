import { harmless, say } from "./dom.js";
import { ago, digest, score, shortened } from "./format.js";
import { makeTable } from "./table.js";
import { whyButton } from "./why.js";

export function highPanel(section) {
  const rows = makeTable(section.querySelector(".rows"), {
    caption: "The latest 50 that were kept, the newest first.",
    empty: "No decision that was kept is HIGH.",
    key: (decision) => `${decision.flow} ${decision.id}`,
    columns: [
      { label: "Id", show: (cell, { id }) => { say(cell, shortened(id), "code"); cell.title = harmless(id); } },
      { label: "Flow", narrow: true, show: (cell, { flow }) => say(cell, flow) },
      { label: "Label", show: (cell, { label }) => say(cell, label ?? "") },
      { label: "Score", number: true, show: (cell, decision) => say(cell, score(decision.score)) },
      { label: "Reasons", show: (cell, { reasons }) => say(cell, reasons.join(", ") || "none were given") },
      {
        label: "Judged by",
        show: (cell, { oracles }) =>
          say(cell, oracles.map((by) => `${by.name} ${digest(by.digest)}`).join(", "), "code"),
      },
      { label: "Decided", narrow: true, show: (cell, { decided_at }, now) => say(cell, ago(decided_at, now)) },
      { label: "Action", make: (row) => [whyButton(row)] },
    ],
  });
  return (snapshot, now) => rows.showPart(snapshot.high, now);
}
