// Posts an entry to a flow and follows it until it is decided.

import { get, path, post } from "./api.js";
import { saying } from "./dialogs.js";
import { harmless, lines, say } from "./dom.js";
import { brief, count, shortened } from "./format.js";
import { makeTable } from "./table.js";
import { ask, inShort, isOver, whyButton } from "./why.js";

const KEPT = 10;

const makeRows = (section) =>
  makeTable(section.querySelector(".rows"), {
    caption: "Posted from this page, the newest first.",
    empty: "",
    key: (posted) => posted.number,
    columns: [
      { label: "Id", show: (cell, { id }) => { say(cell, id ? shortened(id) : "none", "code"); cell.title = harmless(id ?? ""); } },
      { label: "Flow", narrow: true, show: (cell, { flow }) => say(cell, flow) },
      { label: "Answer", show: (cell, { answer, body }) => lines(cell, [[answer], [brief(body), "hint"]]) },
      { label: "What became of it", show: (cell, { became }) => say(cell, became) },
      { label: "Action", make: (row) => [whyButton(row)] },
    ],
  });

function answerOf({ status, replayed, retry_after: after }) {
  const again = after ? `, again after ${count(Number(after))} s` : "";
  if (status >= 300) return `✕ ${status} refused${again}`;
  return `● ${status} ${replayed ? "accepted before, replayed" : "accepted"}`;
}

// 128 bits as 32 hex digits; crypto.randomUUID is only there over TLS and on
// the same machine, and the admin address may be neither.
const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

export function postPanel(section) {
  const [form, said] = [section.querySelector("form"), section.querySelector(".said")];
  const { flow, key, body, sample } = form.elements;
  const rows = makeRows(section);
  const posted = [];
  let number = 0;
  // The last click, while its outcome is not known. The same once more has its
  // Idempotency-Key, so that it is not taken twice.
  let unsure = null;

  const newSample = () =>
    saying(said, "", async () => {
      const of = flow.value;
      const found = await get(path("flows", of, "sample"));
      // Another flow was chosen meanwhile; its sample is on its way.
      if (flow.value !== of) return "";
      key.closest("label").hidden = !found.keys;
      body.value = found.body === null ? "" : JSON.stringify(found.body, null, 2);
      return found.body === null ? "The flow's schema shows no example: write a body." : "";
    });

  async function send() {
    const [to, text] = [flow.value, body.value];
    const isAgain = unsure?.to === to && unsure.text === text;
    unsure = isAgain ? unsure : { to, text, key: newKey() };
    const headers = { "Idempotency-Key": unsure.key };
    if (key.value && !key.closest("label").hidden) headers["X-API-Key"] = key.value;
    const answer = await post(path("flows", to, "post"), text, headers);
    if (answer.status < 500) unsure = null;
    const one = { number: (number += 1), flow: to, id: answer.id, answer: answerOf(answer) };
    one.body = JSON.stringify(answer.body);
    one.became = answer.id ? "waiting to be judged…" : "";
    one.over = !answer.id;
    posted.unshift(one);
    posted.splice(KEPT);
    rows.show(posted, Date.now());
    return one.over ? `${one.answer}: ${one.body}` : `${one.answer}: following ${shortened(one.id)}`;
  }

  async function look(one) {
    if (one.asking) return;
    one.asking = true;
    try {
      const why = await ask(one.flow, one.id);
      one.became = inShort(why);
      one.over = isOver(why);
      if (one.over) say(said, `${shortened(one.id)}: ${one.became}`, "said");
    } catch {
      // The next snapshot asks again.
    }
    one.asking = false;
    rows.show(posted, Date.now());
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    saying(said, "posting…", send);
  });
  sample.addEventListener("click", newSample);
  flow.addEventListener("change", newSample);
  rows.show(posted, Date.now());

  return {
    sample: newSample,
    show(snapshot) {
      if (!snapshot.front_end) say(said, "This process has no front end: open the admin address of one that runs with --role api or all.");
      posted.filter((one) => !one.over).forEach(look);
    },
  };
}
