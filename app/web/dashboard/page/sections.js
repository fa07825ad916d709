// The rest of the page: what to look at, the figures, the hour's answers, and the tables below.

import { ceiling, chart, meter } from "./charts.js";
import { $, cell, h, rows, say, table } from "./dom.js";
import { rest, stateOf } from "./instances.js";
import { duration, minuteOf, number, providerName, sum, t, timeOf } from "./text.js";

const LONG_WAIT_S = 30;
const SLOW_ACK_S = 1;

// Sentences without a running number, since each change is read aloud.
function noticesOf(picture) {
  const said = [];
  for (const one of picture.instances) {
    const state = stateOf(one);
    if (state === "down") said.push(one.last_beat_s === null ? ["bad", t("nUnseen", one.instance)] : ["bad", t("nDown", one.instance, downSince(one, picture.at))]);
    else if (state !== "up") said.push(["warn", t(state === "draining" ? "nDraining" : "nStarting", one.instance)]);
    if (one.ack_p99_s > SLOW_ACK_S) said.push(["warn", t("nAck", one.instance)]);
    if (state !== "down") said.push(...one.keys.map((key) => keyNotice(key, one.instance)).filter(Boolean));
  }
  if (picture.queue.oldest_s > LONG_WAIT_S) said.push(["warn", t("nOldest")]);
  for (const { kind, used, limit } of picture.budget) if (limit && used >= limit) said.push(["warn", t("nBudget", t(kind))]);
  const versions = [...new Set(picture.instances.filter((one) => one.alive).map((one) => one.version))];
  if (versions.length > 1) said.push(["warn", t("nVersions", versions.join(", "))]);
  return said;
}

function keyNotice(key, instance) {
  const state = rest(key);
  if (!state) return null;
  if (state !== "resting") return [state === "cooling" ? "warn" : "bad", t(`nKey_${state}`, providerName(key.provider), instance)];
  return key.day_limit && key.day_used >= key.day_limit ? ["warn", t("nKey_day", providerName(key.provider), instance)] : null;
}

const lastBeats = new Map();

// The moment of the last beat; rounding must not let it flicker by a second.
function downSince(one, at) {
  const now = at - one.last_beat_s;
  const before = lastBeats.get(one.instance);
  if (before === undefined || Math.abs(before - now) > 2) lastBeats.set(one.instance, now);
  return timeOf(lastBeats.get(one.instance));
}

let notices = "";

export function drawNotices(picture) {
  const said = noticesOf(picture);
  if (!said.length) said.push(["good", t("allWell")]);
  const now = JSON.stringify(said);
  if (now === notices) return;
  notices = now;
  $("notices").replaceChildren(...said.map(([kind, text]) => h("li", { class: kind }, text)));
}

function figuresOf(picture) {
  const { instances, hour, queue } = picture;
  const alive = instances.filter((one) => one.alive);
  const acks = alive.map((one) => one.ack_p99_s).filter((seconds) => seconds !== null);
  return [
    ["fInstances", `${alive.length} / ${picture.instance_count}`, "", alive.length < picture.instance_count ? "bad" : "good"],
    ["fRunning", number(queue.running), t("ofSlots", number(sum(alive.map((one) => one.slots)))), ""],
    ["fWaiting", number(queue.waiting), queue.oldest_s === null ? "" : t("fOldest", duration(queue.oldest_s)), queue.oldest_s > LONG_WAIT_S ? "warn" : ""],
    ["fHour", number(sum(hour.answered)), `${t("perMinute", number(hour.answered.at(-2)))} · ${t("failedHour", number(sum(hour.failed)))}`, ""],
    ["fMedian", duration(hour.p50_s), hour.p95_s === null ? "" : t("f95", duration(hour.p95_s)), ""],
    ["fAck", acks.length ? duration(Math.max(...acks)) : t("none"), t("fAckSlowest"), Math.max(0, ...acks) > SLOW_ACK_S ? "warn" : ""],
    ["fUsers", number(sum(hour.users)), "", ""],
    ["fToday", number(sum(instances.map((one) => one.done_today))), t("utc"), ""],
  ];
}

function figure([name]) {
  const value = h("dd", { class: "big" });
  const more = h("dd", { class: "dim" });
  const element = h("div", { class: "card figure", "data-figure": name }, h("dt", {}, t(name)), value, more);
  return {
    element,
    update([, text, detail, kind]) {
      say(value, text);
      say(more, detail);
      value.className = `big ${kind}`;
    },
  };
}

let figures = null;

export function drawFigures(picture) {
  figures ??= rows($("figures"), figure);
  figures(figuresOf(picture), ([name]) => name);
}

const KINDS = [["home", "atHome"], ["elsewhere", "atElsewhere"], ["failed", "failed"]];
let answers = null;

function makeAnswers() {
  const drawn = chart(KINDS.map(([kind]) => kind), { tall: true });
  const legend = h("ul", { class: "legend" }, KINDS.map(([kind, word]) => h("li", { class: kind }, t(word))));
  const axis = h("div", { class: "axis", "aria-hidden": "true" }, [45, 30, 15].map((ago) => h("span", {}, t("minutesAgo", ago))), h("span", {}, t("now")));
  axis.prepend(h("span", {}, t("minutesAgo", 60)));
  const { element, body } = table(t("answers"), [[t("minute"), ""], ...KINDS.map(([, word]) => [t(word), "number"])]);
  const details = h("details", {}, h("summary", {}, t("table")), h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("answers") }, element));
  $("answers").append(legend, drawn.element, axis, details);
  const fill = rows(body, () => {
    const cells = ["", "number", "number", "number"].map((kind) => cell(kind));
    return { element: h("tr", { role: "row" }, cells), update: (texts) => texts.forEach((text, index) => say(cells[index], text)) };
  });
  return { drawn, details, fill };
}

export function drawAnswers({ hour }) {
  answers ??= makeAnswers();
  const series = [hour.answered.map((all, index) => all - hour.elsewhere[index]), hour.elsewhere, hour.failed];
  const most = Math.max(...hour.answered);
  const highest = ceiling(Math.max(...hour.answered.map((all, index) => all + hour.failed[index])));
  const at = (index) => minuteOf(hour.from + index * 60);
  answers.drawn.update({
    series,
    most: highest,
    topText: number(highest),
    label: t("answersChart", number(sum(hour.answered)), number(sum(hour.elsewhere)), number(sum(hour.failed)), at(hour.answered.lastIndexOf(most)), number(most)),
    readout: (index) => t("readout", at(index), ...series.map((values) => number(values[index]))),
  });
  if (answers.details.open) {
    const lines = hour.answered.map((_, index) => [at(index), ...series.map((values) => number(values[index]))]).reverse();
    answers.fill(lines, (line) => line[0]);
  }
}

// A table whose rows are a name, a bar and a number.
function barTable(place, label, columns) {
  const { element, body } = table(label, [[columns[0], ""], [t("share"), "bar"], [columns[1], "number"]]);
  $(place).append(element);
  return rows(body, () => {
    const drawn = meter();
    const name = h("th", { role: "rowheader", scope: "row" });
    const value = cell("number");
    return {
      element: h("tr", { role: "row" }, name, cell("bar", drawn.element), value),
      update({ title, text, share, kind }) {
        say(name, title);
        say(value, text);
        drawn.update(share, kind);
      },
    };
  });
}

let elsewhere = null;
let users = null;
let budget = null;

export function drawTables({ hour, instances, budget: used }) {
  elsewhere ??= barTable("elsewhere", t("elsewhere"), [t("reason"), t("jobs")]);
  const reasons = Object.entries(hour.because);
  const jobs = Math.max(1, sum(reasons.map(([, count]) => count)));
  elsewhere(reasons.map(([reason, count]) => ({ key: reason, title: t(reason), text: number(count), share: count / jobs, kind: "elsewhere" })), (row) => row.key);

  users ??= barTable("users", t("users"), [t("home"), t("userCount")]);
  const all = Math.max(1, sum(hour.users));
  users(hour.users.map((count, index) => ({ key: instances[index].instance, title: `#${instances[index].instance}`, text: number(count), share: count / all, kind: "" })), (row) => row.key);

  budget ??= barTable("budget", t("budget"), [t("kind"), t("used")]);
  budget(used.map(({ kind, used: count, limit }) => ({
    key: kind, title: t(kind), text: limit ? `${number(count)} / ${number(limit)}` : number(count), share: limit ? count / limit : 0, kind: limit && count >= limit ? "failed" : "",
  })), (row) => row.key);
}

let faults = null;

function makeFaults() {
  const columns = [["when", "when"], ["kind", "kind"], ["where", "where"], ["outcome", "outcome"], ["error", "error"], ["reference", "reference"]];
  const { element, body } = table(t("faults"), columns.map(([word, kind]) => [t(word), kind]));
  const none = h("p", { class: "dim" }, t("noFaults"));
  element.classList.add("faults");
  $("faults").append(none, element);
  const fill = rows(body, () => {
    const cells = columns.map(([, kind]) => cell(kind));
    return { element: h("tr", { role: "row" }, cells), update: (job) => faultTexts(job).forEach((text, index) => say(cells[index], text)) };
  });
  return { element, none, fill };
}

function faultTexts(job) {
  return [timeOf(job.at), t(job.kind), `#${job.home} → #${job.served_by}`, t(job.outcome === "failed" ? "failedJob" : job.outcome), job.error || t("none"), job.reference];
}

export function drawFaults({ faults: jobs, hour }) {
  faults ??= makeFaults();
  faults.none.hidden = jobs.length > 0;
  faults.element.hidden = !jobs.length;
  faults.fill(jobs, (job) => job.reference);
  $("partial").hidden = hour.whole_since <= hour.from;
  say($("partial"), t("partial", timeOf(hour.whole_since)));
}
