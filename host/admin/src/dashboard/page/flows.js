import { el, lines, say } from "./dom.js";
import { age, brief, count, milliseconds, rate } from "./format.js";
import { Spark } from "./spark.js";
import { makeTable } from "./table.js";

const number = (label, text) => ({ label, number: true, show: (cell, flow) => say(cell, text(flow)) });

// [text, class]; a symbol and a word, since not everybody sees the colour.
export function state(flow, workers) {
  if (flow.lost > 0) return [`✕ lost ${count(flow.lost)}`, "bad"];
  if (workers === 0) return ["▲ no worker lives", "warn"];
  if (flow.state === "held") return [`✕ held: ${brief(flow.reason)}`, "bad"];
  if (flow.missing.length) return [`▲ waits for ${flow.missing.join(", ")}`, "warn"];
  if (flow.state !== "running") return [`◐ ${flow.state}`, "warn"];
  return ["● running", "good"];
}

const sparks = new Map();
let workers = null;

const spark = (row) => {
  const name = row.item.name;
  if (!sparks.has(name)) sparks.set(name, new Spark());
  return [sparks.get(name).node];
};

const table = (into) =>
  makeTable(into, {
    caption:
      "Of the whole deployment. Rates are of the last 5 seconds; latencies, from received to settled, of the last 10.",
    empty: "There are no flows: the directory of flow files is empty.",
    key: (flow) => flow.name,
    columns: [
      {
        label: "Flow",
        show: (cell, flow) => lines(cell, [[flow.name], [flow.paths.join(" · "), "hint"]]),
      },
      { label: "State", narrow: true, show: (cell, flow) => say(cell, ...state(flow, workers)) },
      number("Accepted", (flow) => rate(flow.accepted_per_s)),
      number("Settled", (flow) => rate(flow.settled_per_s)),
      { label: "Settled, last minute", make: spark },
      number("p50", (flow) => milliseconds(flow.p50_ms)),
      number("p99", (flow) => milliseconds(flow.p99_ms)),
      number("Open", (flow) => count(flow.open)),
      number("Waiting", (flow) => count(flow.waiting)),
      number("Pending", (flow) => count(flow.pending)),
      number("Retrying", (flow) => count(flow.retrying)),
      number("Dead", (flow) => count(flow.dead)),
      number("Lost", (flow) => count(flow.lost)),
      number("Oldest open", (flow) => age(flow.oldest_ms)),
    ],
  });

const TOTALS = [
  { name: "Accepted", text: ({ accepted }) => rate(accepted), line: ({ accepted }) => accepted },
  { name: "Settled", text: ({ settled }) => rate(settled), line: ({ settled }) => settled },
  {
    name: "p99, slowest flow",
    text: ({ slowest }) => milliseconds(slowest?.p99_ms),
    line: ({ slowest }) => slowest?.p99_ms,
    hint: ({ slowest }) => slowest?.name ?? "nothing was settled",
  },
  { name: "Open entries", text: ({ open }) => count(open), line: ({ open }) => open },
  {
    name: "Oldest open entry",
    text: ({ oldest }) => age(oldest?.oldest_ms),
    line: ({ oldest }) => oldest?.oldest_ms,
    hint: ({ oldest }) => oldest?.name ?? "nothing is open",
  },
  { name: "Dead, not requeued", text: ({ dead }) => count(dead), line: ({ dead }) => dead },
  { name: "Workers", text: ({ workers }) => count(workers), line: ({ workers }) => workers },
];

function sums(flows, workers) {
  const sum = (of) => flows.reduce((all, flow) => all + (of(flow) ?? 0), 0);
  const known = flows.some((flow) => flow.accepted_per_s != null);
  const largest = (of) =>
    flows.filter((flow) => of(flow) != null).sort((a, b) => of(b) - of(a))[0];
  return {
    accepted: known ? sum((flow) => flow.accepted_per_s) : null,
    settled: known ? sum((flow) => flow.settled_per_s) : null,
    open: sum((flow) => flow.open),
    dead: sum((flow) => flow.dead),
    slowest: largest((flow) => flow.p99_ms),
    oldest: largest((flow) => flow.oldest_ms),
    workers,
  };
}

export function flowsPanel(section, totals) {
  const rows = table(section.querySelector(".rows"));
  const tiles = TOTALS.map((total) => {
    const [value, hint, spark] = [el("dd"), el("dd", { class: "hint" }), new Spark()];
    const drawn = el("dd", { class: "drawn" }, spark.node);
    totals.append(el("div", {}, el("dt", {}, total.name), value, ...(total.hint ? [hint] : []), drawn));
    return { ...total, value, spark, place: hint };
  });
  return (snapshot, now) => {
    workers = snapshot.workers;
    rows.showPart(snapshot.flows, now);
    if (!snapshot.flows.known) return;
    for (const flow of snapshot.flows.known) sparks.get(flow.name)?.push(flow.settled_per_s);
    const all = sums(snapshot.flows.known, workers);
    for (const { text, line, hint, value, spark, place } of tiles) {
      say(value, text(all));
      spark.push(line(all));
      if (hint) say(place, hint(all));
    }
  };
}
