// The channel: which messages the acting user sees here, in order, each redrawn only when it has changed.

import { $, announce, h, refill } from "./dom.js";
import { relative } from "./markdown.js";
import { openMenu } from "./menu.js";
import { messageElement } from "./message.js";
import { changed, state } from "./store.js";
import { t } from "./text.js";

const COMMAND = 2, COMPONENT = 3, FORM = 5;
const drawn = new Map(); // key → {element, sign, view}
const spoken = new Map(); // message id → what was announced of it last
const started = Date.now() / 1000;

function views() {
  const here = state.info.channels?.[state.me.place];
  const found = [...state.said.values()].filter((one) => one.channel_id === here && (state.me.place === "guild" || one.author.id === state.me.id))
    .map((one) => ({ key: one.id, author: one.author.id, wall: wallOf(one.id), body: one, interaction: null }));
  const taken = new Set();
  for (const interaction of state.interactions.values()) {
    if (![COMMAND, COMPONENT, FORM].includes(interaction.kind) || !visibleHere(interaction)) continue;
    for (const view of viewsOf(interaction)) {
      if (taken.has(view.key)) continue;
      taken.add(view.key);
      found.push(view);
    }
  }
  return found.sort((a, b) => a.wall - b.wall);
}

// An id begins with the milliseconds since 2015.
const wallOf = (id) => Number((BigInt(id) >> 22n) + 1420070400000n) / 1000;

const visibleHere = (one) => one.place === state.me.place && (one.place === "guild" || one.user_id === state.me.id);

function viewsOf(interaction) {
  const base = { author: "app", wall: interaction.sent, interaction };
  const own = interaction.user_id === state.me.id;
  if (interaction.state === "failed") return own ? [{ ...base, key: `failed:${interaction.id}`, body: null, notice: t("failed") }] : [];
  const original = interaction.message;
  // A press may change the message it was on: that one belongs to the interaction it came from.
  const foreign = original && original.id === interaction.pressed_on;
  return [foreign ? null : original, ...interaction.followups].filter((body) => body && (!body.ephemeral || own) && !state.dismissed.has(body.id))
    .map((body, index) => ({ ...base, key: body.id, body, later: index > 0, wall: interaction.sent + index / 1000 }))
    .concat(interaction.late.map((body) => ({ ...base, key: body.id, body, wall: wallOf(body.id), standalone: true })));
}

export function drawMessages() {
  const list = $("messages");
  const atBottom = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const now = views();
  const language = `${state.me.locale}${state.commands.length}${state.me.id}`;
  const keep = new Set(now.map((view) => view.key));
  for (const [key, { element }] of drawn) if (!keep.has(key)) { element.remove(); drawn.delete(key); }
  list.querySelector(".empty")?.remove();
  if (!now.length) list.append(h("p", { class: "empty" }, t("empty")));
  now.forEach((view, index) => {
    const sign = JSON.stringify([view.body, view.notice, language, view.interaction?.state]);
    if (drawn.get(view.key)?.sign !== sign) redraw(view, sign);
    const one = drawn.get(view.key);
    one.view = view;
    const { element } = one;
    if (list.children[index] !== element) list.insertBefore(element, list.children[index] || null);
    speakOf(view);
  });
  rove();
  if (atBottom) list.scrollTop = list.scrollHeight;
}

let reached = null; // the message the keyboard is in

// One message is a stop of the Tab key, with all its controls: the newest, or the one that was walked to by arrow keys.
// Else a long talk would be a hundred stops between the message box and everything before it.
function rove() {
  const elements = [...$("messages").querySelectorAll(":scope > .message")];
  const here = drawn.get(reached)?.element ?? elements.at(-1);
  for (const element of elements) {
    const tabIndex = element === here ? 0 : -1;
    for (const control of [element, ...element.querySelectorAll("a, button, select, video, pre, .spoiler")]) control.tabIndex = tabIndex;
  }
}

const usable = (view) => Boolean(view.body) && !view.body.thinking;

function redraw(view, sign) {
  const before = drawn.get(view.key);
  const full = { ...view,
    onmenu: usable(view) ? (button) => { const box = button.getBoundingClientRect(); openMenu(view, { x: box.left, y: box.bottom + 4 }); } : null,
    ondismiss: () => { state.dismissed.add(view.key); changed("interactions"); $("message-box")?.focus(); },
  };
  const fresh = messageElement(full);
  if (view.later) fresh.classList.add("later");
  if (before) {
    // The element stays, so that focus and scroll position do; only what is in it is new.
    for (const { name } of [...before.element.attributes]) if (name !== "tabindex") before.element.removeAttribute(name);
    for (const { name, value } of [...fresh.attributes]) if (name !== "tabindex") before.element.setAttribute(name, value);
    refill(before.element, [...fresh.childNodes]);
    before.sign = sign;
    return;
  }
  drawn.set(view.key, { element: fresh, sign, view });
  fresh.addEventListener("contextmenu", (event) => {
    const { view: now } = drawn.get(view.key);
    if (!usable(now) || event.target.closest("a, img, video, select")) return;
    event.preventDefault();
    openMenu(now, { x: event.clientX, y: event.clientY });
  });
}

// A screen reader hears each answer once, when it is whole, and not each of its edits.
function speakOf(view) {
  if (!view.body || view.body.thinking || view.wall < started || !view.interaction?.final) return;
  const text = `quartet: ${(view.body.content || view.body.embeds?.[0]?.title || t("yourFile")).slice(0, 160)}`;
  if (spoken.has(view.key)) return;
  spoken.set(view.key, text);
  announce(text);
}

// Arrow keys walk from message to message; the menu key opens the menu of the one that has the focus.
export function watchKeys() {
  const list = $("messages");
  list.addEventListener("keydown", (event) => {
    const here = document.activeElement.closest(".message");
    const onControl = document.activeElement.matches("select, video, input, textarea");
    const all = [...list.querySelectorAll(".message")];
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (step && !onControl && all.length) {
      event.preventDefault();
      const at = here ? all.indexOf(here) + step : all.length - 1;
      all[Math.max(0, Math.min(all.length - 1, at))].focus();
    } else if ((event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey)) && here) {
      event.preventDefault();
      here.querySelector(".tools button")?.click();
    }
  });
  list.addEventListener("focusin", (event) => { reached = event.target.closest(".message")?.dataset.id ?? null; rove(); });
  list.addEventListener("focusout", (event) => { if (!list.contains(event.relatedTarget)) reached = null; });
  setInterval(() => {
    for (const stamp of list.querySelectorAll("[data-relative]")) {
      const text = relative(Number(stamp.dataset.relative), state.me.locale);
      if (stamp.textContent !== text) stamp.textContent = text;
    }
  }, 1000);
}
