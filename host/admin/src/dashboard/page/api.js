// Calls of the admin API, with its token where it wants one.

import { askToken } from "./dialogs.js";

const TOKEN = "floodgate-admin-token";
let asking = null;

export class NoAccess extends Error {}

// Asked for once, however many calls wait for it.
function newToken(wasWrong) {
  asking ??= askToken(wasWrong).finally(() => {
    asking = null;
  });
  return asking;
}

export async function send(path, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem(TOKEN);
    const headers = { ...options.headers };
    if (token) headers.Authorization = `Bearer ${token}`;
    const response = await fetch(path, { ...options, headers, cache: "no-store" });
    if (response.status !== 401) return response;
    // Another call may have been given one meanwhile.
    if (sessionStorage.getItem(TOKEN) !== token) continue;
    const given = await newToken(token !== null);
    if (!given) throw new NoAccess("no admin token was given");
    sessionStorage.setItem(TOKEN, given);
  }
}

async function call(path, options) {
  const response = await send(path, options);
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new Error(answer?.detail ?? `the host answered ${response.status}`);
  return answer;
}

export const get = (path) => call(path);

export const post = (path, body = {}, headers = {}) =>
  call(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });

export const path = (...segments) => `/${segments.map(encodeURIComponent).join("/")}`;
