// What the page knows, and who wants to hear when it changes.

import { api } from "./api.js";
import { speak } from "./text.js";
import { homeOf, isId, USERS } from "./users.js";

const KEPT_EVENTS = 20000;
const saved = JSON.parse(sessionStorage.getItem("quartet-me") || "{}");

export const state = {
  info: { instance_count: 4, keys: [], operator: false, default_target: "" },
  commands: [], // registered, of every scope
  interactions: new Map(), // id → as the control API shows it, oldest first
  events: [], // the ledger's lines, oldest first
  faults: [],
  operator: null, // {instances, jobs} or null while unknown
  me: { id: isId(saved.id || "") ? saved.id : USERS[0].id, locale: saved.locale || "ko", place: saved.place || "guild" },
  said: new Map(), // id → a user's own message
  dismissed: new Set(), // ids of ephemeral messages put away
  connected: false,
  chosen: null, // the interaction whose way is shown; null follows the newest
};
speak(state.me.locale);

const listeners = new Map();
let scheduled = new Set();

export function when(topics, listener) {
  for (const topic of topics) listeners.set(topic, [...(listeners.get(topic) || []), listener]);
}

// Several changes in a row lead to one redraw.
export function changed(topic) {
  if (!scheduled.size) queueMicrotask(flush);
  scheduled.add(topic);
}

function flush() {
  const topics = scheduled;
  scheduled = new Set();
  for (const listener of new Set([...topics].flatMap((topic) => listeners.get(topic) || []))) listener();
}

export function become(change) {
  Object.assign(state.me, change);
  sessionStorage.setItem("quartet-me", JSON.stringify(state.me));
  speak(state.me.locale);
  state.chosen = null;
  changed("me");
}

export const home = (id) => homeOf(id, state.info.instance_count);

let backlog = null; // what happens while everything is being read

export async function readAll() {
  backlog = [];
  try {
    await readNow();
  } finally {
    const missed = backlog;
    backlog = null;
    for (const [name, data] of missed) take(name, data);
  }
}

async function readNow() {
  const [info, commands, newest, events, faults] = await Promise.all([
    api("GET", "/info"), api("GET", "/commands"), api("GET", "/messages?limit=200"), api("GET", "/ledger"), api("GET", "/faults"),
  ]);
  const channels = await Promise.all(Object.values(info.channels).map((id) => api("GET", `/channel?id=${id}&limit=200`)));
  state.said = new Map(channels.flat().filter((one) => !one.author.bot).map((one) => [one.id, one]));
  Object.assign(state, { info, commands: Object.values(commands).flat(), events, faults });
  state.interactions = new Map(newest.reverse().map((one) => [one.id, one]));
  for (const topic of ["info", "commands", "interactions", "events", "faults"]) changed(topic);
}

export function take(name, data) {
  if (backlog) {
    backlog.push([name, data]);
    return;
  }
  if (name === "message") {
    state.said.set(data.id, data);
    changed("interactions");
  } else if (name === "interaction") {
    state.interactions.set(data.id, data);
    changed("interactions");
  } else if (name === "ledger") {
    if (state.events.length && data.n <= state.events.at(-1).n && data.event !== "start") return;
    state.events.push(data);
    if (state.events.length > KEPT_EVENTS) state.events.splice(0, KEPT_EVENTS / 10);
    changed("events");
    if (data.event === "discord_api") readCommands();
  } else if (name === "faults") {
    state.faults = data;
    changed("faults");
  } else if (name === "lost") readAll();
}

let reading = null;
export function readCommands() {
  reading ??= api("GET", "/commands").then((scopes) => { state.commands = Object.values(scopes).flat(); changed("commands"); }).catch(() => {}).finally(() => { reading = null; });
  return reading;
}

// Everything an act of this user carries; `rest` says what the act is.
export const asMe = (rest) => ({ user_id: state.me.id, locale: state.me.locale, place: state.me.place, ...rest });
