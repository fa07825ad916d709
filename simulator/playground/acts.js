// What the acting user does: use a command, press, choose, fill in a form. Each becomes a real interaction.

import { api } from "./api.js";
import { toast } from "./dom.js";
import { openForm } from "./form.js";
import { asMe, state, take } from "./store.js";
import { permissionsOf } from "./users.js";

async function act(wish) {
  try {
    const shown = await api("POST", "/interactions", asMe({ ...wish, ...(state.me.place === "guild" ? { permissions: permissionsOf(state.me.id) } : {}) }));
    if (!state.interactions.has(shown.id)) take("interaction", shown); // the event stream may know more by now
    state.chosen = null;
    if (shown.state === "modal" && shown.modal) openForm(shown);
    return shown;
  } catch (error) {
    toast(error.message);
    return null;
  }
}

export const use = (command, options, attachments) => act({ command: command.name, options, attachments });

export const useOn = (command, target) => act({ command: command.name, context_menu: target });

// Buttons are dead until Discord has taken the press, as in its own client.
export async function press(view, customId, values, control) {
  control.setAttribute("aria-busy", "true");
  const wish = { press: customId, of: view.interaction.id, message_id: view.body.id };
  const shown = await act(values ? { ...wish, values } : wish);
  control.removeAttribute("aria-busy");
  if (shown?.state === "failed") toast(shown.ack?.reason || "The application did not respond");
}

// A message of one's own: bots without a gateway never hear of it, but message commands can be used on it.
export async function say(content) {
  try {
    const written = await api("POST", "/messages", asMe({ content }));
    if (!state.said.has(written.id)) take("message", written);
  } catch (error) {
    toast(error.message);
  }
}

export const submit = (interaction, fields) => act({ submit: fields, of: interaction.id });

// Asks the app for an option's choices; [] if it has none or does not answer.
export async function complete(command, options, focused) {
  try {
    const shown = await api("POST", "/interactions", asMe({ command: command.name, options, focused }));
    return shown.choices || [];
  } catch {
    return [];
  }
}
