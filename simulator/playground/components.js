// Buttons, selects and the display components of a message, drawn from what Discord's protocol says of them.

import { h } from "./dom.js";
import { markdown } from "./markdown.js";
import { people } from "./message.js";
import { state } from "./store.js";
import { press } from "./acts.js";
import { t } from "./text.js";
import { local } from "./api.js";
import { USERS } from "./users.js";

const ROW = 1, BUTTON = 2, STRING = 3, USER = 5, SECTION = 9, TEXT = 10, THUMBNAIL = 11, GALLERY = 12, FILE = 13, SEPARATOR = 14, CONTAINER = 17;
const STYLES = { 1: "primary", 2: "secondary", 3: "success", 4: "danger", 5: "secondary" };

// Returns the elements of a message's components.
export const controls = (view) => (view.body.components || []).map((component) => one(component, view));

function one(component, view) {
  const children = () => (component.components || []).map((child) => one(child, view));
  switch (component.type) {
    case ROW: return h("div", { class: "row" }, children());
    case BUTTON: return button(component, view);
    case STRING: return select(component, view, component.options || []);
    case USER: return select(component, view, USERS.map((user) => ({ label: people.name(user.id), value: user.id })));
    case SECTION: return h("div", { class: "section" }, h("div", {}, children()), component.accessory ? one(component.accessory, view) : null);
    case TEXT: return h("div", { class: "text" }, markdown(component.content || "", people, state.me.locale));
    case THUMBNAIL: return picture(component.media?.url, component.description);
    case GALLERY: return h("div", { class: "files grid" }, (component.items || []).map((item) => picture(item.media?.url, item.description)));
    case FILE: return picture(component.file?.url, component.name);
    case SEPARATOR: return h("hr", { class: component.divider === false ? "space" : "" });
    case CONTAINER: return h("div", { class: "embed" }, children());
    default: return null;
  }
}

function picture(url, description) {
  const source = url && local(url);
  return source ? h("img", { src: source, alt: description || "" }) : null;
}

const face = (component) => [component.emoji?.name ? h("span", { class: "emoji", "aria-hidden": "true" }, component.emoji.name) : null, component.label ? h("span", {}, component.label) : null];

function button(component, view) {
  if (component.style === 5) return h("a", { class: "button secondary", href: component.url, target: "_blank", rel: "noopener noreferrer" }, face(component), " ↗");
  return h("button", {
    class: `button ${STYLES[component.style] || "secondary"}`, disabled: Boolean(component.disabled), "data-custom-id": component.custom_id,
    "data-key": `${view.key}:${component.custom_id}`, "aria-label": component.label || component.emoji?.name,
    onclick: (event) => press(view, component.custom_id, undefined, event.currentTarget),
  }, face(component));
}

function select(component, view, options) {
  const several = (component.max_values ?? 1) > 1;
  const box = h("select", {
    class: "select", disabled: Boolean(component.disabled), multiple: several, "data-custom-id": component.custom_id,
    "data-key": `${view.key}:${component.custom_id}`, "aria-label": component.placeholder || t("pick"),
  }, several ? null : h("option", { value: "" }, component.placeholder || t("pick")),
  options.map((option) => h("option", { value: option.value, selected: option.default === true, title: option.description }, [option.emoji?.name, option.label, option.description ? `– ${option.description}` : ""].filter(Boolean).join(" "))));
  const send = () => {
    const values = [...box.selectedOptions].map((option) => option.value).filter(Boolean);
    if (values.length < (component.min_values ?? 1)) return;
    press(view, component.custom_id, values, box);
    if (!several) box.value = ""; // the same may be chosen again
  };
  if (!several) {
    // With a keyboard the arrows only move: Enter or leaving sends. A mouse choice comes without a key before it.
    let byKey = false;
    box.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); byKey = false; send(); } else byKey = true; });
    box.addEventListener("pointerdown", () => { byKey = false; });
    box.addEventListener("change", () => { if (!byKey) send(); });
    return box;
  }
  return h("div", { class: "row" }, box, h("button", { class: "button secondary", disabled: Boolean(component.disabled), onclick: send }, t("send")));
}
