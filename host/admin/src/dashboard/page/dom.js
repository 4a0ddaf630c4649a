// What strangers wrote becomes text nodes and nothing else.

const SVG = "http://www.w3.org/2000/svg";

// What steers nothing may be shown: control characters but the end of a line, and those that turn a
// text around, are written out, as in tables and logs.
const HARMFUL =
  /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

export function harmless(text) {
  if (typeof text !== "string") return text;
  return text.replace(HARMFUL, (character) => `\\u{${character.charCodeAt(0).toString(16)}}`);
}

export function el(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(attribute, "");
    else if (value !== undefined && value !== false) node.setAttribute(attribute, shown(attribute, value));
  }
  node.append(...children.map(harmless));
  return node;
}

// What a person sees or hears; the others are for the page itself.
const shown = (attribute, value) => (["title", "aria-label", "placeholder"].includes(attribute) ? harmless(value) : value);

// Left alone where it says so already: a selection and a screen reader stay where they are.
export function say(node, text, className) {
  text = harmless(text);
  if (node.textContent !== text) node.textContent = text;
  if (className !== undefined && node.className !== className) node.className = className;
}

// `label` tells apart buttons that look the same.
export function button(text, onClick, label) {
  const made = el("button", { type: "button", "aria-label": label }, text);
  made.addEventListener("click", onClick);
  return made;
}

// Lines of [text, class] within a cell.
export function lines(cell, wanted) {
  const shown = wanted.filter(([text]) => text);
  cell.classList.add("lines");
  while (cell.children.length > shown.length) cell.lastElementChild.remove();
  while (cell.children.length < shown.length) cell.append(el("span"));
  shown.forEach(([text, className = ""], at) => say(cell.children[at], text, className));
}
