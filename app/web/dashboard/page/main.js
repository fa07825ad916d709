// Puts the page together and follows what happens.

import { $, mark, say } from "./dom.js";
import { drawInstances } from "./instances.js";
import { drawAnswers, drawFaults, drawFigures, drawNotices, drawTables } from "./sections.js";
import { follow } from "./stream.js";
import { language, t, timeOf } from "./text.js";

let release = null; // the files this page was made of, as the first picture named them
let seen = null; // when the last picture came

function state(name, text) {
  mark(document.body, "data-state", name);
  say($("connection"), text);
}

function draw(picture) {
  release ??= picture.release;
  if (picture.release !== release) location.reload(); // an upgrade brought another page
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
