// Making elements. Whatever comes from packets goes in as text, never as markup.

export const byId = (id) => document.getElementById(id);

/** An element with properties: `text`, `class`, `on…` handlers, else attributes. */
export function el(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") element.textContent = clean(value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** What turns text round, or cannot be seen, as an escape; lines stay lines. */
const clean = (text) =>
  String(text).replace(/(?!\n)[\p{Cc}\p{Cf}\u2028\u2029]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

/** Sets text only where it differs, so that a selection stays. */
export function say(element, text) {
  const cleaned = clean(text);
  if (element.textContent !== cleaned) element.textContent = cleaned;
}

/**
 * Rows that stay the same elements while their data changes, so that nobody
 * loses the button that he is about to press. While the pointer or the focus is
 * in the list, nothing changes its place.
 */
export class Rows {
  #rows = new Map();

  constructor(list, make) {
    this.list = list;
    this.make = make;
  }

  show(items, key) {
    const held = this.list.matches(":hover") || this.list.contains(document.activeElement);
    const wanted = new Map(items.map((item) => [key(item), item]));
    for (const [name, row] of this.#rows) {
      if (wanted.has(name)) continue;
      if (held) {
        row.element.classList.add("over");
        continue;
      }
      row.element.remove();
      this.#rows.delete(name);
    }
    let before = null;
    for (const [name, item] of wanted) {
      let row = this.#rows.get(name);
      if (!row) {
        row = this.make(item);
        this.#rows.set(name, row);
        this.list.append(row.element);
      }
      row.element.classList.remove("over");
      row.update(item);
      const place = before ? before.nextSibling : this.list.firstChild;
      if (!held && place !== row.element) this.list.insertBefore(row.element, place);
      before = row.element;
    }
  }
}
