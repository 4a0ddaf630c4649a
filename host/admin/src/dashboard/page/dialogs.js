import { button, el, say } from "./dom.js";

// The browser gives the focus back to where it was.
function open(title, content, buttons) {
  const heading = el("h2", { id: "dialog-title" }, title);
  const dialog = el("dialog", { "aria-labelledby": "dialog-title" }, heading, ...content);
  const answer = new Promise((resolve) => {
    const made = buttons.map(({ text, value, main }) => {
      const one = button(text, () => dialog.close(value));
      if (main) one.className = "main";
      return one;
    });
    dialog.append(el("div", { class: "fields" }, ...made));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, answer };
}

export const show = (title, ...content) => open(title, content, [{ text: "Close", value: "" }]).answer;

// True where it was confirmed; Escape does not.
export async function confirm(title, content, action) {
  const nodes = content.map((text) => (typeof text === "string" ? el("p", {}, text) : text));
  const buttons = [{ text: "Cancel", value: "" }, { text: action, value: "yes", main: true }];
  return (await open(title, nodes, buttons).answer) === "yes";
}

// The token, or null.
export async function askToken(wasWrong) {
  const input = el("input", { type: "password", autocomplete: "off", size: "40" });
  const text = "This admin address wants its token. It is kept for as long as this tab is open.";
  const nodes = [el("p", {}, wasWrong ? `That token is not the one. ${text}` : text), el("label", {}, "Token ", input)];
  const buttons = [{ text: "Cancel", value: "" }, { text: "Use it", value: "yes", main: true }];
  const { dialog, answer } = open("Admin token", nodes, buttons);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") dialog.close("yes");
  });
  input.focus();
  return (await answer) === "yes" && input.value.trim() ? input.value.trim() : null;
}

// What a call comes to, said where it was asked for.
export async function saying(place, working, doing) {
  say(place, working, "said");
  try {
    say(place, await doing(), "said");
  } catch (error) {
    say(place, `✕ ${error.message}`, "said bad");
  }
}
