// The fields of a command's options, by the option types of Discord's protocol.

import { complete } from "./acts.js";
import { h, icon } from "./dom.js";
import { people } from "./message.js";
import { state } from "./store.js";
import { hideSuggestions, suggest, suggesting, suggestionKey } from "./suggest.js";
import { described, named, t } from "./text.js";
import { USERS } from "./users.js";

export const SUBCOMMAND = 1, GROUP = 2;
const INTEGER = 4, BOOLEAN = 5, USER = 6, NUMBER = 10, ATTACHMENT = 11;
const TYPING_PAUSE_MS = 180;

// Returns {option, element, focus, filled, invalid}; `deeds` are next, send, cancel, remove, known, command, nest.
export function optionField(option, deeds) {
  return option.type === ATTACHMENT ? fileField(option, deeds) : textField(option, deeds);
}

function frame(option, control, deeds) {
  const name = named(option, state.me.locale);
  const drop = option.required ? null : h("button", { type: "button", class: "drop", "aria-label": t("removeOption", name), onclick: deeds.remove }, "×");
  return h("label", { class: "option", "data-option": option.name, title: described(option, state.me.locale) }, h("span", { class: "option-name" }, name), control, drop);
}

function textField(option, deeds) {
  const input = h("input", { type: "text", autocomplete: "off", spellcheck: "false", placeholder: described(option, state.me.locale), inputmode: option.type === INTEGER || option.type === NUMBER ? "numeric" : null });
  const field = { option, input, chosen: undefined, focus: () => input.focus(), filled: () => input.value.trim() !== "" };
  field.invalid = (wrong) => input.setAttribute("aria-invalid", String(wrong));
  field.element = frame(option, input, deeds);
  const choose = (item) => { field.chosen = item; input.value = item.label; input.setAttribute("aria-invalid", "false"); deeds.next(field); };
  const show = () => offer(field, deeds, choose);
  input.addEventListener("focus", show);
  input.addEventListener("input", () => { field.chosen = undefined; show(); });
  input.addEventListener("blur", () => hideSuggestions(input));
  input.addEventListener("keydown", (event) => keys(event, field, deeds, show));
  return field;
}

function keys(event, field, deeds, show) {
  if (event.isComposing) return;
  if (event.key === "Tab" && !event.shiftKey && (!field.filled() || field.chosen)) hideSuggestions(field.input); // Tab past an empty option leaves it empty
  if (suggestionKey(event)) return;
  if (event.key === "Enter") { event.preventDefault(); deeds.send(); }
  else if (event.key === "Escape") deeds.cancel();
  else if (event.key === "Backspace" && !field.input.value && !field.option.required) { event.preventDefault(); deeds.remove(); }
  else if (event.key === "ArrowDown" && !suggesting(field.input)) show();
}

function choicesOf(option) {
  if (option.choices?.length) return option.choices.map((choice) => ({ label: named(choice, state.me.locale), value: choice.value }));
  if (option.type === BOOLEAN) return [{ label: t("yes"), value: true }, { label: t("no"), value: false }];
  if (option.type === USER) return USERS.map((user) => ({ label: people.name(user.id), value: user.id, detail: user.id }));
  return null;
}

function offer(field, deeds, choose) {
  const { option, input } = field;
  const title = [named(option, state.me.locale), described(option, state.me.locale)].filter(Boolean).join(" – ");
  const choices = choicesOf(option);
  if (choices) {
    const wanted = field.chosen ? "" : input.value.trim().toLowerCase();
    suggest(input, choices.filter((choice) => choice.label.toLowerCase().includes(wanted)), choose, { title });
  } else if (option.autocomplete) ask(field, deeds, choose, title);
  else hideSuggestions();
}

// Autocomplete is a real interaction with the app for each pause in typing; only the newest answer counts.
function ask(field, deeds, choose, title) {
  const { option, input } = field;
  clearTimeout(field.timer);
  const turn = (field.turn = (field.turn || 0) + 1);
  if (!suggesting(input)) suggest(input, [], choose, { title, message: t("searching") });
  field.timer = setTimeout(async () => {
    if (document.activeElement !== input) return; // the command was sent or given up meanwhile
    const choices = await complete(deeds.command, deeds.nest({ ...deeds.known(), [option.name]: input.value }), option.name);
    if (turn !== field.turn || document.activeElement !== input) return;
    const items = choices.map((choice) => ({ label: choice.name_localizations?.[state.me.locale] || choice.name, value: choice.value }));
    suggest(input, items, choose, { title, preselect: input.value.trim() !== "" });
  }, TYPING_PAUSE_MS);
}

function fileField(option, deeds) {
  const input = h("input", { type: "file", class: "visually-hidden" });
  const label = h("span", { class: "filename" }, t("chooseFile"));
  const field = { option, input, filled: () => input.files.length > 0, invalid: (wrong) => input.setAttribute("aria-invalid", String(wrong)) };
  field.focus = () => input.focus();
  field.element = frame(option, h("span", { class: "picker" }, icon("file"), label, input), deeds);
  field.element.classList.add("file-option");
  input.addEventListener("change", () => { label.textContent = input.files[0]?.name || t("chooseFile"); if (input.files.length) deeds.next(field); });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") deeds.cancel();
    else if (event.key === "Enter" && input.files.length) { event.preventDefault(); deeds.send(); }
    else if (event.key === "Backspace" && !option.required) deeds.remove();
  });
  field.upload = async () => ({ filename: input.files[0].name, content_type: input.files[0].type || "application/octet-stream", data: await base64(input.files[0]) });
  return field;
}

const base64 = (file) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
  reader.onerror = () => reject(reader.error);
  reader.readAsDataURL(file);
});

export function valueOf(field) {
  if (field.chosen) return field.chosen.value;
  const text = field.input.value.trim();
  const exact = choicesOf(field.option)?.find((choice) => choice.label.toLowerCase() === text.toLowerCase());
  if (exact) return exact.value;
  return field.option.type === INTEGER || field.option.type === NUMBER ? Number(text) : text;
}

// Returns what is wrong with a field, as Discord's client would say it before it sends anything; "" if nothing is.
export function check(field) {
  const { option } = field;
  const name = named(option, state.me.locale);
  if (!field.filled()) return option.required ? t("required", name) : "";
  if (option.type === ATTACHMENT) return "";
  const value = valueOf(field);
  if ((option.type === INTEGER && !Number.isInteger(value)) || (option.type === NUMBER && !Number.isFinite(value))) return t("notNumber", name);
  if (typeof value === "string" && value.length < (option.min_length ?? 0)) return t("tooShort", name, option.min_length);
  if (typeof value === "string" && value.length > (option.max_length ?? 6000)) return t("tooLong", name, option.max_length);
  if (option.type === BOOLEAN && typeof value !== "boolean") return t("required", name);
  return "";
}
