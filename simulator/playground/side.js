// The left column: where one is, who one is, and in which language; and the bar above the messages.

import { $, h, icon, refill, toast } from "./dom.js";
import { avatar, people } from "./message.js";
import { become, home, state } from "./store.js";
import { t } from "./text.js";
import { isId, USERS } from "./users.js";

const PLACES = { guild: ["#", "general"], dm: ["@", "dm"], user_install: ["#", "install"] };
const LANGUAGES = { ko: "한국어", "en-US": "English" };

export function drawSide() {
  refill($("side"), h("header", {}, h("img", { class: "avatar", src: "/playground/quartet.svg", alt: "" }), h("h1", {}, "Quartet"), h("button", { class: "plain closer", "data-key": "close-side", "aria-label": t("close"), onclick: () => document.body.classList.remove("show-side") }, icon("close"))),
    group(t("channels"), Object.entries(PLACES).map(([place, [sign, word]]) => choice("place", place, state.me.place === place, () => become({ place }), [h("span", { class: "sign", "aria-hidden": "true" }, sign), h("span", { class: "choice-name" }, place === "dm" ? "quartet" : t(word)), place === "dm" ? h("small", {}, t("dm")) : null]))),
    group(t("you"), people_(), otherId()),
    group(t("language"), h("div", { class: "languages" }, Object.entries(LANGUAGES).map(([locale, name]) => choice("locale", locale, state.me.locale === locale, () => become({ locale }), [h("span", { class: "choice-name" }, name)])))));
}

function group(title, ...children) {
  const id = `group-${title}`.replace(/\s/g, "-");
  return h("section", { role: "group", "aria-labelledby": id }, h("h2", { id }, title), children);
}

function choice(kind, value, on, act, children) {
  return h("button", { class: "choice", "aria-pressed": String(on), "data-key": `${kind}:${value}`, [`data-${kind}`]: value, onclick: () => { act(); document.body.classList.remove("show-side"); } }, children);
}

function people_() {
  const known = USERS.some((user) => user.id === state.me.id) ? USERS : [...USERS, { id: state.me.id }];
  return known.map((user) => choice("user", user.id, user.id === state.me.id, () => become({ id: user.id }), [avatar(user.id), h("span", { class: "choice-name" }, people.name(user.id), user.moderator ? h("small", {}, t("moderator")) : null), h("span", { class: "home", title: t("homeLong", home(user.id)) }, t("home", home(user.id)))]));
}

function otherId() {
  const input = h("input", { type: "text", inputmode: "numeric", placeholder: t("otherId"), "aria-label": t("otherId"), "data-key": "other-id", class: "other-id" });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    const id = input.value.trim();
    if (isId(id)) become({ id });
    else toast(t("otherId"));
  });
  return input;
}

export function drawHead() {
  const [sign, word] = PLACES[state.me.place];
  const open = (name, closes) => () => {
    document.body.classList.remove(closes);
    document.body.classList.toggle(name);
    if (document.body.classList.contains(name)) document.querySelector(name === "show-side" ? "#side .closer" : "#panel .closer").focus();
  };
  refill($("head"), h("button", { class: "plain opener side-opener", "data-key": "open-side", "aria-label": t("openSide"), onclick: open("show-side", "show-panel") }, icon("menu")),
    h("span", { class: "sign", "aria-hidden": "true" }, sign), h("strong", { class: "where" }, state.me.place === "dm" ? "quartet" : t(word)),
    h("span", { class: "me" }, avatar(state.me.id), h("span", { class: "me-name" }, people.name(state.me.id)), h("span", { class: "home" }, t("home", home(state.me.id)))),
    h("span", { class: "connection", "data-connected": String(state.connected), title: state.connected ? t("connected") : t("offline") }, state.connected ? h("span", { class: "visually-hidden" }, t("connected")) : t("offline")),
    h("button", { class: "plain opener panel-opener", "data-key": "open-panel", "aria-label": t("openPanel"), onclick: open("show-panel", "show-side") }, icon("panel")));
}
