// The side panel: the way of an interaction, drawn; switches for instances and for the providers' faults.

import { api } from "./api.js";
import { $, h, icon, refill, toast } from "./dom.js";
import { commandName, people } from "./message.js";
import { changed, home, state } from "./store.js";
import { duration, t } from "./text.js";
import { shownInteraction, wayOf, workerOf } from "./way.js";

const FAULTS = {
  openai: ["503", "429", "500", "hang", "slow", "error_frame", "refusal", "quota", "401"],
  stability: ["503", "429", "500", "hang", "slow", "filter", "quota", "401"],
  minimax: ["503", "429", "500", "hang", "slow", "task_failed", "filter", "401"],
  discord: ["503", "429", "500", "slow"],
};
const NAMES = { openai: "OpenAI", stability: "Stability", minimax: "MiniMax", discord: "Discord" };
const chosen = {}; // target → {kind, key}

export function drawPanel() {
  refill($("panel"), h("header", {}, h("h2", {}, t("panel")), h("button", { class: "plain closer", "data-key": "close-panel", "aria-label": t("close"), onclick: () => document.body.classList.remove("show-panel") }, icon("close"))),
    h("section", { id: "way", "aria-label": t("way") }), h("section", { id: "switches", "aria-label": t("switches") }));
  drawWay();
  drawSwitches();
}

export function drawWay() {
  if (!$("way")) return;
  const interaction = shownInteraction();
  const way = interaction && wayOf(interaction);
  const title = h("h3", {}, t("way"));
  if (!way) return refill($("way"), title, h("p", { class: "hint" }, t("noWay")));
  const took = way.running ? null : h("span", { class: "total" }, t("took", duration(way.final ?? way.end)));
  return refill($("way"), title, h("p", { class: "whose" }, h("strong", {}, people.name(interaction.user_id)), " ", commandOf(interaction), took),
    h("ol", { class: "stations" }, stations(interaction, way)), timeline(way));
}

// A press is named by what stood on the button, as long as that can still be seen.
function commandOf(interaction) {
  if (interaction.kind === 2) return commandName(interaction);
  const messages = [...state.interactions.values()].flatMap((one) => [one.message, ...one.followups]);
  const pressed = messages.filter(Boolean).flatMap((message) => flat(message.components || [])).find((component) => component.custom_id === interaction.custom_id);
  const label = pressed && [pressed.emoji?.name, pressed.label || pressed.placeholder].filter(Boolean).join(" ");
  return label || (interaction.custom_id || "").split(":")[0];
}

const flat = (components) => components.flatMap((component) => [component, ...flat(component.components || [])]);

function station(name, state_, number, lines) {
  return h("li", { class: `station ${state_}`, "data-station": name, "data-state": state_ }, h("span", { class: "node", "aria-hidden": "true" }, number), h("div", {}, h("span", { class: "station-name" }, t(name)), lines.filter(Boolean).map((line) => h("span", { class: "fact" }, line)))); // the style puts dots between;
}

function stations(interaction, way) {
  const { ack, calls, running } = way;
  const worker = workerOf(way);
  const ok = ack?.event === "acked";
  const instant = ok && ["message", "modal", "update", "choices"].includes(ack.type_name);
  const wait = way.job && way.job.queued_s > 0 ? way.job.queued_s * 1000 : calls.length && way.acked !== null ? Math.max(0, calls[0].start - way.acked) : null;
  const waits = running && !calls.length ? t("waiting") : "";
  const failed = calls.length > 0 && calls.at(-1).status !== 200 && calls.at(-1).status !== null;
  return [
    station("proxy", "done", "↓", [t("delivered"), t("homeIs", home(interaction.user_id))]),
    station("instance", ok ? "done" : ack ? "failed" : "active", ack?.served_by || "?", [ack ? (ok ? t("ackedBy", ack.served_by || "?", `${ack.type_name}, ${duration(ack.ms)}`) : t("notAcked", ack.reason || ack.status || "–")) : t("waiting")]),
    station("queue", instant ? "skipped" : wait !== null || !running ? "done" : "active", "≡", [instant ? t("instant") : wait !== null ? t("waited", duration(wait)) : waits, worker ? t("ranOn", worker) : "", way.job?.because && way.job.because !== "home" ? way.job.because : ""]),
    station("key", instant ? "skipped" : failed ? "failed" : calls.length && !running ? "done" : calls.length ? "active" : "skipped", "✦", calls.length ? calls.map((call) => callLine(call)) : [instant ? "" : t("noKey")]),
    station("webhook", way.refused.length && way.final === null ? "failed" : way.final !== null ? "done" : way.edits.length ? "active" : "skipped", "↑", [
      way.edits.length ? t("edits", way.edits.length) : "", way.posts.length ? t("posts", way.posts.length) : "", way.deleted ? t("deleted") : "",
      way.edits.length > 1 && !instant ? t("firstWord", duration(way.edits[0])) : "", way.final !== null ? t("done", duration(way.final)) : "", ...way.refused.slice(0, 3).map((event) => t("refused", `${event.status} ${event.code ?? ""}`)),
    ]),
  ];
}

const wentWell = (call) => call.ms === null || (call.status === 200 && ["", "ok"].includes(call.outcome));

const callLine = (call) => `${call.key} · ${NAMES[call.provider]} ${call.route} · ${call.ms === null ? t("calling") : `${duration(call.ms)} · ${call.status || "–"}${wentWell(call) ? "" : ` ${call.outcome === "caller_gone" ? t("callerGone") : call.outcome}`}`}`;

// Bars over the same time: acknowledgement, waiting, provider calls, and a tick for each webhook call.
function timeline(way) {
  const whole = Math.max(way.end, 1);
  const bar = (name, from, to, label) => {
    const shown = h("span", { class: `bar ${name}`, title: label });
    shown.style.left = `${Math.min(98, (Math.max(0, from) / whole) * 100)}%`;
    shown.style.width = `${Math.max(0.8, ((to - from) / whole) * 100)}%`;
    return shown;
  };
  const row = (name, bars, note) => h("div", { class: "track" }, h("span", { class: "track-name" }, name), h("div", { class: "bars" }, bars), h("span", { class: "track-note" }, note));
  const first = way.calls[0]?.start ?? way.edits[0] ?? way.end;
  return h("div", { class: "timeline", role: "img", "aria-label": t("timeline") }, [
    way.acked !== null && row(t("instance"), [bar("ack", 0, way.acked, t("instance"))], duration(way.acked)),
    way.calls.length > 0 && row(t("queue"), [bar("queue", way.acked ?? 0, first, t("queue"))], duration(Math.max(0, first - (way.acked ?? 0)))),
    ...way.calls.slice(-4).map((call) => row(call.key, [bar(wentWell(call) ? "call" : "call bad", call.start, call.start + (call.ms ?? whole - call.start), callLine(call))], duration(call.ms))),
    (way.edits.length > 0 || way.posts.length > 0) && row(t("webhook"), [...way.edits, ...way.posts].map((at) => bar("edit", at, at, duration(at))), duration([...way.edits, ...way.posts].at(-1))),
  ].filter(Boolean));
}

// Drawn again only if there is something new to see: that would close a list somebody has just opened.
export function drawSwitches() {
  const box = $("switches");
  if (!box) return;
  const rules = state.faults.map(({ target, kind, key, hits }) => [target, kind, key, hits]);
  const sign = JSON.stringify([state.operator?.instances.map(({ running, pid }) => [running, pid]), rules, state.info, state.me.locale]);
  if (box.dataset.sign === sign) return;
  box.dataset.sign = sign;
  refill(box, h("h3", {}, t("instances")), instances(), h("h3", {}, t("providers")), Object.keys(FAULTS).map(faultRow));
}

function instances() {
  if (!state.info.operator || !state.operator) return h("p", { class: "hint" }, state.info.operator ? t("waiting") : t("noOperator"));
  return h("ul", { class: "instances" }, state.operator.instances.map((one) => h("li", { "data-instance": one.instance, "data-running": String(one.running) },
    h("span", { class: `lamp ${one.running ? "on" : ""}`, "aria-hidden": "true" }),
    h("span", { class: "instance-name" }, `${t("instance")} ${one.instance}`, h("small", {}, one.running ? `${t("running")} · pid ${one.pid}` : t("off"))),
    h("button", { class: "button danger slim", "data-key": `kill:${one.instance}`, "aria-label": t("killLong", one.instance), disabled: !one.running, onclick: () => operate("kill", one.instance) }, t("kill")),
    toggle(`power:${one.instance}`, t("power", one.instance), one.running, (on) => operate(on ? "on" : "off", one.instance)))));
}

function toggle(key, label, on, act) {
  return h("button", { class: "switch", role: "switch", "aria-checked": String(on), "aria-label": label, "data-key": key, onclick: () => act(!on) }, h("span", { "aria-hidden": "true" }));
}

async function operate(act, instance) {
  try {
    state.operator = await api("POST", "/operator", { act, instance });
    changed("operator");
  } catch (error) {
    toast(error.message);
  }
}

export async function askOperator() {
  if (!state.info.operator || document.hidden) return;
  try {
    state.operator = await api("GET", "/operator");
  } catch {
    state.operator = null;
  }
  changed("operator");
}

function faultRow(target) {
  const rules = state.faults.filter((rule) => rule.target === target);
  const wish = (chosen[target] ??= { kind: FAULTS[target][0], key: "" });
  const hits = rules.reduce((sum, rule) => sum + rule.hits, 0);
  const choose = (name) => async (event) => {
    wish[name] = event.currentTarget.value;
    if (rules.length) await setFault(target, rules, true); // a change applies to what is on already
  };
  const options = (values, now) => values.map(([value, label]) => h("option", { value, selected: value === now }, label));
  return h("div", { class: "fault", "data-fault": target, "data-on": String(rules.length > 0) },
    h("span", { class: "fault-name" }, NAMES[target], rules.length && hits ? h("small", {}, t("hits", hits)) : null),
    h("select", { class: "select slim", "aria-label": t("how", NAMES[target]), "data-key": `how:${target}`, onchange: choose("kind") }, options(FAULTS[target].map((kind) => [kind, kind]), wish.kind)),
    target === "discord" ? h("span") : h("select", { class: "select slim", "aria-label": t("whose", NAMES[target]), "data-key": `whose:${target}`, onchange: choose("key") }, options([["", t("allKeys")], ...state.info.keys.map((key) => [key, key])], wish.key)),
    toggle(`fault:${target}`, t("fails", NAMES[target]), rules.length > 0, (on) => setFault(target, rules, on)));
}

async function setFault(target, rules, on) {
  const { kind, key } = chosen[target];
  try {
    await Promise.all(rules.map((rule) => api("DELETE", `/faults/${rule.id}`)));
    if (on) await api("POST", "/faults", { target, kind, ...(key ? { key } : {}), ...(kind === "slow" || kind === "hang" ? { seconds: 5 } : {}) });
  } catch (error) {
    toast(error.message);
  }
}
