// Snapshots as they happen. Each is whole: after a break nothing is missing.
// fetch and not EventSource, which cannot send a token.

import { NoAccess, send } from "./api.js";

const FIRST_WAIT = 250;
const LONGEST_WAIT = 4000;
// The host says something every ten seconds at least.
const SILENCE = 15_000;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Resolves once somebody looks: a tab in the background asks for nothing.
const looking = () =>
  new Promise((resolve) => {
    if (!document.hidden) return resolve();
    document.addEventListener("visibilitychange", () => resolve(), { once: true });
  });

// state(null): connected; else { since, access }.
export async function follow(snapshot, state) {
  let wait = FIRST_WAIT;
  let since = null;
  for (;;) {
    await looking();
    try {
      await listen((one) => {
        wait = FIRST_WAIT;
        since = null;
        state(null);
        snapshot(one);
      });
    } catch (error) {
      if (error instanceof NoAccess) {
        await state({ since: new Date(), access: true });
        continue;
      }
    }
    if (document.hidden) continue;
    since ??= new Date();
    state({ since });
    await sleep(wait);
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }
}

async function listen(onSnapshot) {
  const abort = new AbortController();
  const hide = () => document.hidden && abort.abort();
  document.addEventListener("visibilitychange", hide);
  let silence;
  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(() => abort.abort(), SILENCE);
  };
  try {
    const response = await send("/stream", { signal: abort.signal });
    if (!response.ok) throw new Error(`the host answered ${response.status}`);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      heard();
      const { done, value } = await reader.read();
      if (done) return;
      const events = (text + value).split("\n\n");
      text = events.pop();
      events.forEach((event) => take(event, onSnapshot));
    }
  } finally {
    clearTimeout(silence);
    document.removeEventListener("visibilitychange", hide);
  }
}

function take(event, onSnapshot) {
  const data = event.split("\n").find((line) => line.startsWith("data: "));
  if (data) onSnapshot(JSON.parse(data.slice("data: ".length)));
}
