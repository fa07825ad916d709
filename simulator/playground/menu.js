// The menu of a message: the app's message commands, and what the page itself offers.

import { useOn } from "./acts.js";
import { h } from "./dom.js";
import { changed, state } from "./store.js";
import { named, t } from "./text.js";

let opened = null;

export function openMenu(view, at) {
  closeMenu();
  const before = document.activeElement;
  const commands = state.commands.filter((command) => command.type === 3);
  const item = (label, act) => h("button", { role: "menuitem", tabindex: "-1", onclick: () => { closeMenu(); act(); } }, label);
  const list = h("div", { class: "menu", role: "menu", "aria-label": t("more") },
    h("p", { class: "title", "aria-hidden": "true" }, t("apps")),
    commands.length ? commands.map((command) => item(named(command, state.me.locale), () => useOn(command, view.body.id))) : h("p", { class: "nothing" }, t("noApps")),
    h("hr"),
    view.interaction ? item(t("showWay"), () => { state.chosen = view.interaction.id; document.body.classList.add("show-panel"); changed("chosen"); }) : null,
    item(t("copy"), () => navigator.clipboard?.writeText(view.body?.content || "").catch(() => {})));
  document.body.append(list);
  const { x, y } = at;
  list.style.left = `${Math.max(8, Math.min(x, innerWidth - list.offsetWidth - 8))}px`;
  list.style.top = `${Math.max(8, Math.min(y, innerHeight - list.offsetHeight - 8))}px`;
  list.addEventListener("keydown", keys);
  opened = { list, before };
  list.querySelector("[role=menuitem]").focus();
  setTimeout(() => document.addEventListener("pointerdown", outside), 0);
}

function keys(event) {
  const items = [...opened.list.querySelectorAll("[role=menuitem]")];
  const at = items.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
  if (to !== undefined) { event.preventDefault(); items[(to + items.length) % items.length].focus(); }
  else if (event.key === "Escape" || event.key === "Tab") { event.preventDefault(); closeMenu(); }
}

function outside(event) {
  if (!opened?.list.contains(event.target)) closeMenu();
}

export function closeMenu() {
  if (!opened) return;
  const { list, before } = opened;
  opened = null;
  document.removeEventListener("pointerdown", outside);
  list.remove();
  if (before?.isConnected) before.focus({ preventScroll: true });
}
