// One message as Discord shows it: who, when, text, embeds, files, and what can be pressed.

import { local } from "./api.js";
import { controls } from "./components.js";
import { h, icon } from "./dom.js";
import { markdown } from "./markdown.js";
import { isKorean, named, t } from "./text.js";
import { state } from "./store.js";
import { colourOf, nameOf } from "./users.js";

export const people = { name: (id) => (id === state.info.application_id ? "quartet" : nameOf(id, isKorean())) };

export function avatar(id) {
  if (id === "app") return h("img", { class: "avatar", src: "/playground/quartet.svg", alt: "" });
  const name = people.name(id);
  const shown = h("span", { class: "avatar", "aria-hidden": "true" }, [...name][0] === "U" && /^User /.test(name) ? name.slice(-2) : [...name][0]);
  shown.style.backgroundColor = colourOf(id);
  return shown;
}

const clock = (wall) => new Intl.DateTimeFormat(state.me.locale, { timeStyle: "short" }).format(new Date(wall * 1000));

// `view`: {key, author: "app" | user id, wall, body: message | null, interaction | null, notice, onmenu, ondismiss}
export function messageElement(view) {
  const { body, interaction } = view;
  const mine = body?.ephemeral;
  const pinged = body?.pings?.includes(state.me.id);
  const name = view.author === "app" ? "quartet" : people.name(view.author);
  const head = h("div", { class: "line" }, h("span", { class: view.author === "app" ? "name bot" : "name" }, name),
    view.author === "app" ? h("span", { class: "tag" }, t("app")) : null,
    h("time", { datetime: new Date(view.wall * 1000).toISOString() }, clock(view.wall)));
  const element = h("article", {
    class: ["message", mine && "ephemeral", pinged && "pinged"].filter(Boolean).join(" "), tabindex: "-1",
    "data-id": view.key, "data-state": interaction?.state, "data-interaction": interaction?.id, "data-message": body?.id, "aria-label": `${name}, ${clock(view.wall)}`,
  }, interaction && !view.standalone ? usedBy(interaction) : null, avatar(view.author), h("div", { class: "content" }, head, contents(view)), tools(view));
  return element;
}

function usedBy(interaction) {
  const who = people.name(interaction.user_id);
  const what = { 3: () => t("pressed"), 5: () => t("submitted") }[interaction.kind]?.() ?? t("used", commandName(interaction));
  const known = state.commands.find((command) => command.name === interaction.command)?.options || [];
  const options = given(interaction.options, known).join("  ");
  return h("div", { class: "used", title: options || null }, h("span", { class: "spine", "aria-hidden": "true" }), avatar(interaction.user_id),
    h("span", { class: "who" }, who), h("span", { class: "what" }, what), options ? h("span", { class: "given" }, options) : null);
}

// What was given, by the options' names in the reader's language, subcommands' options as well.
function given(options, known) {
  return options.flatMap((option) => {
    const registered = known.find((one) => one.name === option.name);
    if (option.options) return given(option.options, registered?.options || []);
    if (option.value === undefined || option.type === 11) return [];
    const choice = registered?.choices?.find((one) => one.value === option.value);
    const value = choice ? named(choice, state.me.locale) : option.type === 5 ? t(option.value ? "yes" : "no") : option.value;
    return [`${registered ? named(registered, state.me.locale) : option.name}: ${value}`];
  });
}

export function commandName(interaction) {
  const known = state.commands.find((command) => command.name === interaction.command);
  const sub = interaction.options.find((option) => option.type === 1)?.name;
  const subKnown = known?.options?.find((option) => option.name === sub);
  const shown = [known ? named(known, state.me.locale) : interaction.command, sub && (subKnown ? named(subKnown, state.me.locale) : sub)].filter(Boolean).join(" ");
  return interaction.command_type === 3 ? shown : `/${shown}`;
}

function contents(view) {
  const { body } = view;
  if (view.notice) return h("p", { class: "notice" }, view.notice);
  if (body.thinking) return h("p", { class: "thinking" }, h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")), h("span", {}, isKorean() ? `quartet ${t("thinking")}` : `quartet ${t("thinking")}`), mark(view));
  const text = h("div", { class: "text" }, markdown(body.content || "", people, state.me.locale));
  if (body.edited) (text.lastElementChild?.tagName === "P" ? text.lastElementChild : text).append(" ", h("span", { class: "edited" }, t("edited")));
  return [text, files(body.attachments || []), (body.embeds || []).map((one) => embed(one)), controls(view), mark(view)];
}

function mark(view) {
  if (!view.body?.ephemeral) return null;
  return h("p", { class: "only-you" }, icon("eye"), t("onlyYou"), " • ", h("button", { class: "link", "data-key": `dismiss:${view.key}`, onclick: view.ondismiss }, t("dismiss")));
}

function tools(view) {
  if (view.notice || !view.onmenu) return null;
  return h("div", { class: "tools" }, h("button", { class: "plain", "aria-label": t("more"), "aria-haspopup": "menu", "data-key": `menu:${view.key}`, onclick: (event) => view.onmenu(event.currentTarget) }, icon("dots")));
}

const size = (bytes) => (bytes < 1024 ? `${bytes} B` : bytes < 1048576 ? `${(bytes / 1024).toFixed(1)} KB` : `${(bytes / 1048576).toFixed(1)} MB`);

function files(attachments) {
  if (!attachments.length) return null;
  return h("div", { class: attachments.filter((a) => a.content_type?.startsWith("image/")).length > 1 ? "files grid" : "files" }, attachments.map(file));
}

function file(attachment) {
  const source = local(attachment.url);
  const label = attachment.description || attachment.filename;
  if (source && attachment.content_type?.startsWith("image/")) return h("a", { class: "picture", href: source, target: "_blank", rel: "noopener" }, h("img", { src: source, alt: label }));
  if (source && attachment.content_type?.startsWith("video/")) return h("video", { src: source, controls: true, preload: "metadata", "aria-label": label });
  return h("div", { class: "file" }, icon("file"), h("span", {}, source ? h("a", { href: source, download: attachment.filename }, attachment.filename) : attachment.filename, h("small", {}, size(attachment.size))));
}

function embed(value) {
  const md = (text) => markdown(text, people, state.me.locale);
  const box = h("div", { class: "embed" });
  if (value.color !== undefined && value.color !== null) box.style.borderLeftColor = `#${Number(value.color).toString(16).padStart(6, "0")}`;
  const picture = (part) => part?.url && local(part.url) && h("img", { src: local(part.url), alt: part.description || "" });
  box.append(...[
    value.author?.name && h("p", { class: "embed-author" }, value.author.name),
    value.title && h("p", { class: "embed-title" }, value.url ? h("a", { href: value.url, target: "_blank", rel: "noopener noreferrer" }, md(value.title)) : md(value.title)),
    value.description && h("div", { class: "text" }, md(value.description)),
    value.fields?.length && h("dl", {}, value.fields.map((field) => h("div", { class: field.inline ? "inline" : "" }, h("dt", {}, md(field.name)), h("dd", {}, md(field.value))))),
    picture(value.image), picture(value.thumbnail),
    (value.footer?.text || value.timestamp) && h("p", { class: "embed-footer" }, [value.footer?.text, value.timestamp && new Date(value.timestamp).toLocaleString(state.me.locale)].filter(Boolean).join(" • ")),
  ].filter(Boolean));
  return box;
}
