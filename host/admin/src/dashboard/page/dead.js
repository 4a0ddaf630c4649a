import { get, path, post } from "./api.js";
import { confirm, saying, show } from "./dialogs.js";
import { button, el, harmless, lines, say } from "./dom.js";
import { ago, brief, count, digest, score, shortened } from "./format.js";
import { makeTable } from "./table.js";
import { whyButton } from "./why.js";

// How often a filtered list is asked for: it is not in the snapshots.
const PERIOD = 2000;

const become = (one) =>
  one.fault ? `✕ fails again: ${one.fault}, ${brief(one.error)}` : `● decided, score ${score(one.score)}`;

function rehearsed(all) {
  const rows = all.map((one) => [
    el("dt", { class: "code" }, shortened(one.id)),
    el("dd", {}, `died of ${one.died_of}; now ${become(one)}`),
  ]);
  const fine = all.filter((one) => !one.fault).length;
  const sum = `${count(fine)} of ${count(all.length)} would be decided by the oracles of now.`;
  return [el("p", {}, sum), el("dl", {}, ...rows.flat())];
}

async function dryRun(which, requeue) {
  const all = await post("/dead/rehearse", which);
  if (await confirm("Dry run: nothing was changed", rehearsed(all), "Requeue")) return requeue();
  return "Dry run: nothing was changed.";
}

const told = ({ done, skipped }, what) =>
  `${count(done)} ${what}${skipped ? `, ${count(skipped)} skipped: gone or decided meanwhile` : ""}.`;

const requeue = async (which) => told(await post("/dead/requeue", which), "requeued");

async function purge(which, named) {
  const text = `They are removed and cannot be brought back: ${named}.`;
  if (!(await confirm("Purge dead letters?", [text], "Purge"))) return "Nothing was purged.";
  return told(await post("/dead/purge", which), "purged");
}

async function showBody(letter) {
  const whole = await get(path("dead", letter.flow, letter.stream_id));
  await show(`Body of ${letter.flow} ${shortened(letter.id)}`, el("pre", { tabindex: "0" }, whole.body));
  return "";
}

function makeRows(section, said, changed) {
  const one = (row) => ({ flow: row.item.flow, id: row.item.id });
  const doing = async (doing) => {
    await saying(said, "…", doing);
    changed();
  };
  const actions = (row) => {
    const { id } = row.item;
    const again = () => requeue(one(row));
    return [
      whyButton(row),
      button("body", () => doing(() => showBody(row.item)), `body of ${id}`),
      button("dry run", () => doing(() => dryRun(one(row), again)), `dry run ${id}`),
      button("requeue", () => doing(again), `requeue ${id}`),
    ];
  };
  return makeTable(section.querySelector(".rows"), {
    caption: "The latest 50, or the latest 50 that match the filter.",
    empty: "No dead letters.",
    key: (letter) => `${letter.flow} ${letter.partition} ${letter.stream_id}`,
    columns: [
      { label: "Id", show: (cell, { id }) => { say(cell, shortened(id), "code"); cell.title = harmless(id); } },
      { label: "Flow", narrow: true, show: (cell, { flow }) => say(cell, flow) },
      {
        label: "Fault",
        show: (cell, { fault, error }) => lines(cell, [[`✕ ${fault}`, "bad"], [brief(error), "hint"]]),
      },
      {
        label: "Oracle",
        show: (cell, letter) => lines(cell, [[letter.oracle], [letter.oracle && digest(letter.digest), "code"]]),
      },
      { label: "Attempts", number: true, show: (cell, letter) => say(cell, count(letter.attempts)) },
      { label: "Died", narrow: true, show: (cell, { last_at }, now) => say(cell, ago(last_at, now)) },
      { label: "Action", make: actions },
    ],
  });
}

// The fields that say something.
function filterOf(form) {
  const fields = ["flow", "fault", "id"].map((name) => [name, form.elements[name].value.trim()]);
  return Object.fromEntries(fields.filter(([, value]) => value));
}

export function deadPanel(section) {
  const [form, said] = [section.querySelector("form"), section.querySelector(".said")];
  let last = null;
  let asked = 0;
  const rows = makeRows(section, said, () => refresh(true));

  async function refresh(atOnce) {
    const which = filterOf(form);
    const none = Object.keys(which).length === 0;
    for (const name of ["rehearse", "requeue", "purge"]) form.elements[name].disabled = none;
    if (!last) return;
    const now = Date.parse(last.at);
    if (none) return rows.showPart(last.dead, now);
    if (!atOnce && Date.now() - asked < PERIOD) return;
    asked = Date.now();
    try {
      const found = await get(`/dead?${new URLSearchParams({ ...which, limit: 50 })}`);
      // Another filter may have been chosen meanwhile.
      if (JSON.stringify(filterOf(form)) === JSON.stringify(which)) rows.show(found, now);
    } catch (error) {
      rows.showPart({ unknown: error.message }, now);
    }
  }

  const onAll = (name, doing) =>
    form.elements[name].addEventListener("click", async () => {
      await saying(said, "…", () => doing(filterOf(form)));
      refresh(true);
    });
  onAll("rehearse", (which) => dryRun(which, () => requeue(which)));
  onAll("requeue", requeue);
  onAll("purge", (which) => purge(which, Object.entries(which).map(([name, value]) => `${name} ${value}`).join(", ")));
  form.addEventListener("input", () => refresh(true));
  form.addEventListener("reset", () => setTimeout(() => refresh(true)));
  form.addEventListener("submit", (event) => event.preventDefault());
  refresh(true);

  return (snapshot) => {
    last = snapshot;
    refresh(false);
  };
}
