// The message box. `/` lists the registered commands; a chosen one becomes fields, one option after the other.

import { say as sayIt, use } from "./acts.js";
import { $, h, icon, toast } from "./dom.js";
import { check, optionField, SUBCOMMAND, GROUP, valueOf } from "./options.js";
import { state } from "./store.js";
import { hideSuggestions, suggest, suggestionKey } from "./suggest.js";
import { described, named, t } from "./text.js";

let current = null; // {command, path: [subcommand], options, fields: Map name → field}

// Every command one can type: a subcommand is an entry of its own.
function entries() {
  const contexts = { guild: 0, dm: 1, user_install: 2 };
  const fits = (command) => !command.contexts || command.contexts.includes(contexts[state.me.place]);
  return state.commands.filter((command) => (command.type || 1) === 1 && fits(command)).flatMap((command) => below(command, command, []));
}

function below(command, node, path) {
  const nested = (node.options || []).filter((option) => option.type === SUBCOMMAND || option.type === GROUP);
  if (nested.length) return nested.flatMap((option) => below(command, option, [...path, option]));
  const label = "/" + [command, ...path].map((part) => named(part, state.me.locale)).join(" ");
  const plain = [command, ...path].map((part) => part.name).join(" ");
  const options = (node.options || []).map((option) => named(option, state.me.locale)).join("  ");
  return [{ command, path, options: node.options || [], label, detail: described(node, state.me.locale), side: options, plain: `${label} /${plain}`.toLowerCase() }];
}

export function drawComposer(focus = false) {
  if (current) return;
  hideSuggestions();
  const box = h("textarea", { id: "message-box", rows: "1", placeholder: t("write"), "aria-label": t("write"), autocomplete: "off", maxlength: "4000" });
  box.addEventListener("input", () => lookUp(box));
  box.addEventListener("blur", () => hideSuggestions(box));
  box.addEventListener("keydown", (event) => {
    if (event.isComposing || suggestionKey(event)) return; // Korean is composed: its Enter ends the syllable
    if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); say(box); }
  });
  const slash = h("button", { class: "plain", "aria-label": t("commands"), onclick: () => { box.value = "/"; box.focus(); lookUp(box); } }, icon("plus"));
  $("composer").replaceChildren(h("div", { class: "box" }, slash, box, h("button", { class: "plain", "aria-label": t("send"), onclick: () => say(box) }, icon("send"))));
  if (focus) box.focus();
}

function lookUp(box) {
  box.rows = Math.min(6, box.value.split("\n").length);
  if (!box.value.startsWith("/")) return hideSuggestions(box);
  const wanted = box.value.slice(1).trim().toLowerCase();
  const all = entries();
  const starts = all.filter((one) => one.plain.includes(`/${wanted}`));
  const found = wanted ? [...starts, ...all.filter((one) => !starts.includes(one) && one.plain.includes(wanted))] : all;
  return suggest(box, found, choose, { title: t("commands"), message: all.length ? "" : t("none") });
}

// The commands may arrive, or change, while somebody is typing.
export function relist() {
  const box = $("message-box");
  if (box && box === document.activeElement && box.value.startsWith("/")) lookUp(box);
}

function say(box) {
  const text = box.value.trim();
  if (!text) return;
  if (text.startsWith("/")) {
    const exact = entries().find((one) => one.plain.split(" /").some((name) => name.replace(/^\//, "") === text.slice(1).toLowerCase()));
    return exact ? choose(exact) : toast(t("nothing"));
  }
  box.value = "";
  return sayIt(text);
}

function choose(entry) {
  current = { ...entry, fields: new Map() };
  const required = entry.options.filter((option) => option.required);
  required.forEach(add);
  if (!required.length && entry.options.length && entry.options[0].type !== 11) add(entry.options[0]);
  drawCommand();
  focusNext();
}

function add(option) {
  const mine = current;
  current.fields.set(option.name, optionField(option, {
    next: (field) => focusNext(field), send, cancel, remove: () => { mine.fields.delete(option.name); drawCommand(); focusNext(); },
    known: () => values(mine), command: mine.command, nest: (options) => nest(mine, options),
  }));
}

function drawCommand() {
  const { label, options, fields } = current;
  const left = options.filter((option) => !fields.has(option.name));
  const more = left.map((option) => h("button", { class: "more", type: "button", title: described(option, state.me.locale), "data-option": option.name, onclick: () => { add(option); drawCommand(); fields.get(option.name).focus(); } }, "+ ", named(option, state.me.locale)));
  const chip = h("span", { class: "chip" }, label);
  $("composer").replaceChildren(h("div", { class: "box command", role: "group", "aria-label": label },
    h("button", { class: "plain", "aria-label": t("cancel"), onclick: cancel }, icon("close")),
    h("div", { class: "parts" }, chip, [...fields.values()].map((field) => field.element), more),
    h("button", { class: "plain go", id: "send-command", "aria-label": t("send"), onclick: send, onkeydown: (event) => { if (event.key === "Escape") cancel(); } }, icon("send"))));
}

// Focus the next field that is still empty and needed, else the next one in order, else the send button.
function focusNext(after = null) {
  const fields = [...current.fields.values()];
  const at = after ? fields.indexOf(after) + 1 : 0;
  const wanted = fields.slice(at).find((field) => field.option.required && !field.filled()) || fields[at];
  (wanted || $("send-command")).focus();
}

const values = (one) => Object.fromEntries([...one.fields.values()].filter((field) => field.filled() && field.option.type !== 11).map((field) => [field.option.name, valueOf(field)]));
const nest = (one, options) => one.path.reduceRight((inner, part) => ({ [part.name]: inner }), options);

export function cancel() {
  current = null;
  drawComposer(true);
}

async function send() {
  const fields = [...current.fields.values()];
  const wrong = fields.map((field) => [field, check(field)]).find(([, problem]) => problem);
  fields.forEach((field) => field.invalid(field === wrong?.[0]));
  if (wrong) {
    toast(wrong[1]);
    wrong[0].focus();
    return;
  }
  const { command } = current;
  const options = nest(current, values(current));
  const attachments = Object.fromEntries(await Promise.all(fields.filter((field) => field.option.type === 11 && field.filled()).map(async (field) => [field.option.name, await field.upload()])));
  cancel();
  await use(command, options, attachments);
}
