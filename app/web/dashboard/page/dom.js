// Builds elements. Text always becomes text nodes: nothing that comes from elsewhere is ever parsed as HTML.

export const $ = (id) => document.getElementById(id);

// h("span", { class: "x", "aria-label": "…" }, "text", otherElement)
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// Changes nothing that is so already: what did not change is neither drawn nor read aloud again.
export function say(element, text) {
  const words = String(text);
  if (element.textContent !== words) element.textContent = words;
}

export function mark(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

// One row of a list or table for each item, made once and then only updated. `make` returns { element, update }.
export function rows(parent, make) {
  const known = new Map();
  return (items, keyOf) => {
    const wanted = items.map((item, index) => {
      const key = keyOf(item, index);
      if (!known.has(key)) known.set(key, make(item));
      known.get(key).update(item, index);
      return [key, known.get(key).element];
    });
    const keys = new Set(wanted.map(([key]) => key));
    for (const key of [...known.keys()]) if (!keys.has(key)) known.delete(key);
    const elements = wanted.map(([, element]) => element);
    if (parent.children.length !== elements.length || elements.some((element, index) => parent.children[index] !== element)) {
      parent.replaceChildren(...elements);
    }
  };
}

// A table of [heading, class] columns that stays a table for screen readers when a narrow screen lays it out otherwise.
export function table(label, columns) {
  const head = h("tr", { role: "row" }, columns.map(([text, kind]) => h("th", { role: "columnheader", scope: "col", class: kind }, text)));
  const body = h("tbody", { role: "rowgroup" });
  return { body, element: h("table", { role: "table", "aria-label": label }, h("thead", { role: "rowgroup" }, head), body) };
}

export function cell(kind, ...children) {
  return h("td", { role: "cell", class: kind }, ...children);
}
