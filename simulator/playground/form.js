// A modal: the form an app answered an interaction with.

import { submit } from "./acts.js";
import { h, icon } from "./dom.js";
import { markdown } from "./markdown.js";
import { people } from "./message.js";
import { state } from "./store.js";
import { t } from "./text.js";
import { USERS } from "./users.js";

const ROW = 1, STRING = 3, INPUT = 4, USER = 5, TEXT = 10, LABEL = 18, PARAGRAPH = 2;

export function openForm(interaction) {
  const before = document.activeElement;
  const { title, components } = interaction.modal;
  const dialog = h("dialog", { class: "modal", "aria-labelledby": "form-title" });
  const close = () => { dialog.close(); dialog.remove(); before?.focus?.(); };
  const form = h("form", { method: "dialog", onsubmit: (event) => {
    event.preventDefault();
    const fields = Object.fromEntries([...form.querySelectorAll("[data-field]")].map((field) => [field.dataset.field, field.multiple ? [...field.selectedOptions].map((option) => option.value) : field.value]));
    close();
    submit(interaction, fields);
  } }, h("header", {}, h("img", { class: "avatar", src: "/playground/quartet.svg", alt: "" }), h("h2", { id: "form-title" }, title),
    h("button", { type: "button", class: "plain", "aria-label": t("close"), onclick: close }, icon("close"))),
  h("div", { class: "fields" }, components.map(part)),
  h("footer", {}, h("button", { type: "button", class: "button secondary", onclick: close }, t("cancel")), h("button", { class: "button primary" }, t("send"))));
  dialog.append(form);
  dialog.addEventListener("cancel", (event) => { event.preventDefault(); close(); });
  document.body.append(dialog);
  dialog.showModal();
  dialog.querySelector("[data-field]")?.focus();
}

function part(component) {
  if (component.type === ROW) return (component.components || []).map((child) => field(child, child.label, ""));
  if (component.type === LABEL) return field(component.component || {}, component.label, component.description);
  if (component.type === TEXT) return h("div", { class: "text" }, markdown(component.content || "", people, state.me.locale));
  return null;
}

function field(component, label, description) {
  const required = component.required !== false;
  const common = { "data-field": component.custom_id, required, placeholder: component.placeholder, id: `field-${component.custom_id}`, "aria-describedby": description ? `about-${component.custom_id}` : null };
  return h("div", { class: "field" }, h("label", { for: common.id }, label, required ? h("span", { class: "star", "aria-hidden": "true" }, " *") : null),
    description ? h("p", { class: "about", id: `about-${component.custom_id}` }, description) : null, control(component, common));
}

function control(component, common) {
  if (component.type === STRING || component.type === USER) {
    const options = component.type === USER ? USERS.map((user) => ({ label: people.name(user.id), value: user.id })) : component.options || [];
    return h("select", { ...common, multiple: (component.max_values ?? 1) > 1 }, component.placeholder ? h("option", { value: "" }, component.placeholder) : null, options.map((option) => h("option", { value: option.value, selected: option.default === true }, option.label)));
  }
  const limits = { ...common, minlength: component.min_length, maxlength: component.max_length ?? 4000 };
  const input = component.type === INPUT && component.style === PARAGRAPH ? h("textarea", { ...limits, rows: "6" }) : h("input", { ...limits, type: "text" });
  input.value = component.value || "";
  if (input.tagName === "TEXTAREA") input.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) input.form.requestSubmit(); });
  return input;
}
