// Words about what was done, with the way back.

import { byId, el } from "./dom.js";

const SHOWN = 12_000;
const MOST = 4;

export function toast(text, { undo, problem, hint } = {}) {
  const host = byId("toasts");
  const box = el("div", { class: problem ? "toast problem" : "toast" }, el("span", { text }));
  if (hint) box.append(el("small", { text: hint }));
  const close = () => box.remove();
  if (undo) {
    box.append(el("button", { type: "button", text: "Undo", onclick: () => {
      close();
      undo();
    } }));
  }
  box.append(el("button", { type: "button", class: "quiet", "aria-label": "Dismiss", text: "✕", onclick: close }));
  host.append(box);
  while (host.children.length > MOST) host.firstChild.remove();
  setTimeout(close, SHOWN);
}
