// The list above the message box: commands, choices, users. One listbox; the field that owns it keeps the focus.

import { $, h } from "./dom.js";
import { t } from "./text.js";

let owner = null;
let items = [];
let active = -1;
let onChoose = null;

// items: {label, detail, group, value}; `field` gets the combobox attributes.
export function suggest(field, found, choose, { title = "", message = "", preselect = true } = {}) {
  if (owner && owner !== field) release(owner);
  owner = field;
  items = found;
  onChoose = choose;
  active = found.length && preselect ? 0 : -1;
  const box = $("suggestions");
  box.replaceChildren(
    ...(title ? [h("div", { class: "title", "aria-hidden": "true" }, title)] : []),
    found.length ? h("ul", { id: "suggestion-list", role: "listbox", "aria-label": title || t("choose") }, found.map((item, index) => entry(item, index))) : h("p", { class: "nothing", role: "status" }, message || t("nothing")),
  );
  box.hidden = false;
  for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-expanded": "true", "aria-controls": "suggestion-list" })) field.setAttribute(name, value);
  highlight();
}

function entry(item, index) {
  return h("li", {
    id: `suggestion-${index}`, role: "option", class: "suggestion", "aria-selected": "false",
    onpointerdown: (event) => event.preventDefault(), // the field keeps the focus
    onclick: () => pick(index), onpointermove: () => { if (active !== index) { active = index; highlight(); } },
  }, item.picture || null, h("span", { class: "label" }, item.label), item.detail ? h("span", { class: "detail" }, item.detail) : null, item.side ? h("span", { class: "side" }, item.side) : null);
}

function highlight() {
  $("suggestions").querySelectorAll("[role=option]").forEach((element, index) => {
    element.setAttribute("aria-selected", String(index === active));
    if (index === active) element.scrollIntoView({ block: "nearest" });
  });
  if (active >= 0) owner.setAttribute("aria-activedescendant", `suggestion-${active}`);
  else owner?.removeAttribute("aria-activedescendant");
}

function pick(index) {
  const item = items[index];
  const choose = onChoose;
  hideSuggestions();
  choose(item);
}

function release(field) {
  field.setAttribute("aria-expanded", "false");
  field.removeAttribute("aria-activedescendant");
}

export function hideSuggestions(field = null) {
  if (field && field !== owner) return;
  if (owner) release(owner);
  owner = null;
  items = [];
  $("suggestions").hidden = true;
  $("suggestions").replaceChildren();
}

export const suggesting = (field) => owner === field && !$("suggestions").hidden;

// Returns whether the key was for the list. Call it first in a field's keydown.
export function suggestionKey(event) {
  if (!suggesting(event.target)) return false;
  const { key } = event;
  if (key === "Escape") hideSuggestions();
  else if ((key === "ArrowDown" || key === "ArrowUp") && items.length) {
    active = (active + (key === "ArrowDown" ? 1 : -1) + items.length + (active < 0 && key === "ArrowUp" ? 1 : 0)) % items.length;
    highlight();
  } else if ((key === "Enter" || (key === "Tab" && !event.shiftKey)) && active >= 0) pick(active);
  else return false;
  event.preventDefault();
  event.stopPropagation();
  return true;
}
