// Puts the page together and follows what happens.

import { $, mark, say } from "./dom.js";
import { drawInstances } from "./instances.js";
import { drawAnswers, drawFaults, drawFigures, drawNotices, drawTables } from "./sections.js";
import { follow } from "./stream.js";
import { language, t, timeOf } from "./text.js";

const RELOAD_AGAIN_MS = 10000; // while an upgrade is under way, page and pictures may come from either side of it

const release = document.querySelector("meta[name=release]").content; // names the files this page is made of
let seen = null; // when the last picture came

function state(name, text) {
  mark(document.body, "data-state", name);
  say($("connection"), text);
}

// An upgrade brought another page.
function reload() {
  const before = Number(sessionStorage.getItem("quartet-reloaded"));
  if (Date.now() - before < RELOAD_AGAIN_MS) return;
  sessionStorage.setItem("quartet-reloaded", String(Date.now()));
  location.reload();
}

function draw(picture) {
  if (picture.release !== release) reload();
  seen = picture.at;
  drawNotices(picture);
  drawFigures(picture);
  drawInstances(picture);
  drawAnswers(picture);
  drawTables(picture);
  drawFaults(picture);
  say($("served"), t("served", timeOf(picture.at), picture.answered_by, picture.version, picture.routing));
  state("live", t("live"));
}

document.documentElement.lang = language;
document.title = t("title");
for (const element of document.querySelectorAll("[data-text]")) element.textContent = t(element.dataset.text);
for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", t(element.dataset.label));
state("connecting", t("connecting"));

follow({
  picture: draw,
  trouble: ({ error }) => state("trouble", t("trouble", seen ? timeOf(seen) : t("none"), error)),
  lost: () => state("lost", seen ? t("lost", timeOf(seen)) : t("never")),
  paused: () => state("paused", t("paused")),
});
