import { harmless, lines, say } from "./dom.js";
import { age, brief, count, shortened, until } from "./format.js";
import { makeTable } from "./table.js";
import { whyButton } from "./why.js";

const next = (entry, now) =>
  entry.next_attempt ? until(entry.next_attempt, now) : `held for ${age(entry.idle_ms)} by ${entry.owner}`;

export function pendingPanel(section) {
  const rows = makeTable(section.querySelector(".rows"), {
    caption: "Delivered and not settled, the oldest 50 first.",
    empty: "Nothing is pending.",
    key: (entry) => `${entry.flow} ${entry.partition} ${entry.stream_id}`,
    columns: [
      {
        label: "Id",
        show: (cell, { id, stream_id }) => {
          say(cell, id ? shortened(id) : `none, ${stream_id}`, "code");
          cell.title = harmless(id ?? "");
        },
      },
      { label: "Flow", narrow: true, show: (cell, { flow }) => say(cell, flow) },
      { label: "Deliveries", number: true, show: (cell, entry) => say(cell, count(entry.deliveries)) },
      { label: "Attempts failed", number: true, show: (cell, entry) => say(cell, count(entry.attempts)) },
      { label: "Next attempt", show: (cell, entry, now) => say(cell, next(entry, now)) },
      {
        label: "Last fault",
        show: (cell, entry) => lines(cell, [[entry.fault], [brief(entry.last_error), "hint"]]),
      },
      { label: "Action", make: (row) => [whyButton(row)] },
    ],
  });
  return (snapshot, now) => rows.showPart(snapshot.pending, now);
}
