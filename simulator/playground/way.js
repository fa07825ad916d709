// The way of one interaction through the system, put together from the ledger and the operator's list of jobs.

import { state } from "./store.js";

const OWN_WAY = [2, 3, 5]; // commands, presses, forms

// The interaction whose way is to be shown: the chosen one, else this user's newest here, else the newest of all.
export function shownInteraction() {
  const all = [...state.interactions.values()].filter((one) => OWN_WAY.includes(one.kind));
  const mine = all.filter((one) => one.user_id === state.me.id && one.place === state.me.place);
  return state.interactions.get(state.chosen) || mine.at(-1) || all.at(-1) || null;
}

// Returns {sent, acks, calls, edits, posts, refused, job, final, end}; times in milliseconds after the delivery.
export function wayOf(interaction) {
  const own = state.events.filter((event) => event.interaction === interaction.id);
  const sent = own.find((event) => event.event === "sent");
  if (!sent) return null;
  const after = (t) => (t - sent.t) * 1000;
  const acks = own.filter((event) => event.event === "acked" || event.event === "ack_failed");
  // A late answer is posted to the channel by the bot's own token: no webhook, but the same last step.
  const webhooks = own.filter((event) => event.event === "webhook" || event.event === "channel_message").map((event) => ({ ...event, ok: event.status < 300 }));
  const job = state.operator?.jobs.find((one) => String(one.id) === interaction.id) || null;
  const finals = [...acks, ...webhooks].filter((event) => event.final);
  const calls = callsOf(interaction, sent, job, finals.length ? finals[0].t : Infinity).map((call) => ({ ...call, start: after(call.t) }));
  const good = webhooks.filter((event) => event.ok);
  const last = Math.max(0, ...own.map((event) => after(event.t)), ...calls.map((call) => call.start + (call.ms ?? 0)));
  return {
    acks, job, calls, acked: acks.length ? acks[0].ms : null, ack: acks.find((event) => event.event === "acked") || acks[0] || null,
    edits: good.filter((event) => event.method === "PATCH").map((event) => after(event.t)),
    posts: good.filter((event) => event.method === "POST").map((event) => after(event.t)),
    deleted: good.some((event) => event.method === "DELETE"), refused: webhooks.filter((event) => !event.ok),
    final: finals.length ? after(finals[0].t) : null, end: last, running: !interaction.final,
  };
}

function promptsOf(interaction, depth = 0) {
  const sent = state.events.find((event) => event.event === "sent" && event.interaction === interaction.id);
  const prompts = Object.values(sent?.prompts || {});
  if (prompts.length || depth > 4 || !interaction.pressed_on) return prompts;
  // A button asks again for what its message was made from.
  const source = [...state.interactions.values()].find((one) => one.id !== interaction.id && [one.message, ...one.followups].some((message) => message?.id === interaction.pressed_on));
  return source ? promptsOf(source, depth + 1) : [];
}

// Which provider calls were made for it: the ledger knows a call by its prompt's digest, and the key by its label.
function callsOf(interaction, sent, job, until) {
  const prompts = promptsOf(interaction);
  const inTime = state.events.filter((event) => event.event === "provider_call" && event.t >= sent.t && event.t <= until + 0.05);
  let found = inTime.filter((event) => event.costly && prompts.includes(event.prompt));
  if (!found.length && job?.provider) found = inTime.filter((event) => event.costly && event.provider === job.provider && event.key === `set-${job.served_by}`);
  const done = new Map(state.events.filter((event) => event.event === "provider_done" && event.t >= sent.t).map((event) => [event.call, event]));
  return found.map((call) => {
    const end = done.get(call.n);
    return { t: call.t, provider: call.provider, route: call.route, key: call.key, ms: end?.ms ?? null, status: end?.status ?? null, outcome: end?.outcome || "", fault: call.fault || "" };
  });
}

// Who did the work: the operator knows it from the job's record, before that the key's label tells.
export function workerOf(way) {
  if (way.job?.served_by) return Number(way.job.served_by);
  const label = way.calls.at(-1)?.key.match(/^set-(\d+)$/);
  return label ? Number(label[1]) : null;
}
