// One card for each instance: how it is, and how much of each of its keys was used over the last hour.

import { ceiling, chart } from "./charts.js";
import { $, h, mark, rows, say } from "./dom.js";
import { duration, minuteOf, number, providerName, sum, t } from "./text.js";

const NEAR = 5;

const FACTS = {
  running: (one) => `${number(one.running)} / ${number(one.slots)}`,
  upFor: (one) => duration(one.uptime_s),
  ofHome: (one) => t("ofHomeValue", number(one.waiting_here), number(one.running_of_home)),
  ack: (one) => (one.acked ? t("ackValue", duration(one.ack_p50_s), duration(one.ack_p99_s), number(one.acked)) : t("none")),
  done: (one) => number(one.done_today),
  beat: (one) => (one.last_beat_s === null ? t("neverSeen") : t("ago", duration(one.last_beat_s))),
  version: (one) => one.version || t("none"),
};

export function stateOf(one) {
  if (!one.alive) return "down";
  if (one.draining) return "draining";
  return one.ready ? "up" : "starting";
}

let from = 0;

// What is used of a limit: calls by the minute, or for a limit of the day what had been used of it by then.
function use(key) {
  const calls = key.calls.length ? key.calls : new Array(60).fill(0);
  if (key.minute_limit || !key.day_limit) return { calls, values: calls, limit: key.minute_limit };
  let used = key.day_used;
  const values = [];
  for (const count of [...calls].reverse()) {
    values.unshift(Math.max(0, used));
    used -= count;
  }
  return { calls, values, limit: key.day_limit };
}

export function rest(key) {
  if (key.rest_s <= 0) return null;
  return { ready: "resting", cooling: "cooling", spent: "spent", dead: "dead" }[key.state];
}

function keyUse(key) {
  if (key.minute_limit) return t("keyMinute", number(key.minute_used), number(key.minute_limit));
  if (key.day_limit) return t("keyDay", number(key.day_used), number(key.day_limit));
  return t("keyFree", number(key.minute_used));
}

function keyRow(instance) {
  const name = h("span", { class: "provider" });
  const state = h("span", { class: "state" });
  const value = h("span", { class: "value" });
  const drawn = chart(["home"]);
  const element = h("div", { class: "key" }, h("div", { class: "keyhead" }, name, state, value), drawn.element);
  return {
    element,
    update(key) {
      const { calls, values, limit } = use(key);
      const resting = rest(key);
      mark(element, "data-provider", key.provider);
      mark(element, "data-state", resting || "ready");
      say(name, providerName(key.provider));
      say(state, resting ? t(resting, duration(key.rest_s)) : key.in_flight ? t("inFlight", number(key.in_flight)) : "");
      say(value, keyUse(key));
      const most = Math.max(...calls);
      const words = [providerName(key.provider), instance, keyUse(key)];
      const at = (index) => minuteOf(from + index * 60);
      const highest = Math.max(...values);
      const near = limit && (!highest || highest >= limit / NEAR); // far below it, one would see only the limit
      const top = near ? Math.max(limit, highest) : ceiling(highest);
      drawn.update({
        series: [values],
        most: top,
        limit: near ? limit : 0,
        topText: near ? "" : t("scale", number(top)),
        label: most ? t("keyChart", ...words, number(sum(calls)), at(calls.indexOf(most)), number(most)) : t("keyIdle", ...words),
        readout: (index) => t(values === calls ? "keyReadout" : "keyReadoutDay", at(index), number(values[index])),
      });
    },
  };
}

function card(one) {
  const state = h("span", { class: "badge" });
  const values = Object.fromEntries(Object.keys(FACTS).map((name) => [name, h("dd")]));
  const facts = h("dl", { class: "facts" }, Object.entries(values).map(([name, value]) => h("div", { "data-fact": name }, h("dt", {}, t(name)), value)));
  const keys = h("div", { class: "keys" });
  const fill = rows(keys, () => keyRow(one.instance));
  const title = h("h3", {}, h("span", {}, `#${one.instance}`), state);
  const element = h("article", { class: "card instance", "data-instance": one.instance, "aria-label": `#${one.instance}` }, title, facts, keys);
  return {
    element,
    update(now) {
      mark(element, "data-state", stateOf(now));
      say(state, t(stateOf(now)));
      for (const [name, tell] of Object.entries(FACTS)) say(values[name], tell(now));
      fill(now.keys, (key) => key.provider);
    },
  };
}

let fill = null;

export function drawInstances(picture) {
  from = picture.hour.from;
  fill ??= rows($("instances"), card);
  fill(picture.instances, (one) => one.instance);
}
