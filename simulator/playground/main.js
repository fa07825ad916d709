// Puts the page together: reads everything once, then follows what happens.

import { follow } from "./api.js";
import { drawMessages, watchKeys } from "./channel.js";
import { drawComposer, relist } from "./composer.js";
import { $, toast } from "./dom.js";
import { askOperator, drawPanel, drawSwitches, drawWay } from "./panel.js";
import { drawHead, drawSide } from "./side.js";
import { changed, readAll, state, take, when } from "./store.js";
import { t } from "./text.js";

const OPERATOR_PAUSE_MS = 1500;

function words() {
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = t(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", t(element.dataset.label));
}

when(["me", "info"], () => { words(); drawSide(); drawPanel(); });
when(["me", "info", "connected"], drawHead);
when(["me"], () => drawComposer());
when(["commands"], relist);
when(["me", "info", "commands", "interactions"], drawMessages);
when(["events", "interactions", "operator", "chosen", "commands"], drawWay);
when(["faults", "operator"], drawSwitches);

async function connection(connected, why) {
  if (why) toast(why);
  state.connected = connected;
  changed("connected");
  if (!connected) return;
  try {
    await readAll();
    await askOperator();
  } catch (error) {
    toast(error.message);
  }
}

words();
drawSide();
drawHead();
drawComposer(true);
drawMessages();
drawPanel();
watchKeys();
$("messages").setAttribute("role", "log");
$("messages").setAttribute("aria-live", "off"); // the announcer says each answer once
follow(take, connection);
setInterval(askOperator, OPERATOR_PAUSE_MS);

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented) return;
  for (const [name, opener] of [["show-side", ".side-opener"], ["show-panel", ".panel-opener"]]) {
    if (!document.body.classList.contains(name)) continue;
    document.body.classList.remove(name);
    document.querySelector(opener)?.focus();
  }
});
