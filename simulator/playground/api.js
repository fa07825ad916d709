// The control API of the simulator that served this page. The token stays in the address's fragment and a header.

const token = new URLSearchParams(location.hash.slice(1)).get("token") || "";
const headers = token ? { "X-Control-Token": token } : {};
const RETRY_MS = 1000;
const NO_TOKEN = "The control token is missing or of another run: open the whole address that the demo printed (/#token=…).";

export async function api(method, path, body) {
  const given = body === undefined ? headers : { ...headers, "Content-Type": "application/json" };
  const answer = await fetch("/control" + path, { method, headers: given, body: body === undefined ? undefined : JSON.stringify(body) });
  if (answer.status === 204) return null;
  const value = await answer.json().catch(() => ({ error: answer.statusText }));
  if (!answer.ok) throw new Error(answer.status === 401 ? NO_TOKEN : value.error || answer.statusText);
  return value;
}

// Calls `onEvent(name, data)` for everything that happens, for ever; `onState(connected, why)` when the connection comes
// or goes. EventSource could not send the token in a header, hence fetch.
export async function follow(onEvent, onState) {
  for (;;) {
    try {
      const answer = await fetch("/control/events", { headers });
      if (answer.status === 401) {
        onState(false, NO_TOKEN);
        return; // asking again would not help
      }
      if (!answer.ok) throw new Error(String(answer.status));
      onState(true);
      await read(answer.body.pipeThrough(new TextDecoderStream()).getReader(), onEvent);
    } catch {
      // The simulator ended or restarts: said by onState, tried again below.
    }
    onState(false);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

async function read(reader, onEvent) {
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const name = /^event: (.*)$/m.exec(block)?.[1];
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (name && data) onEvent(name, JSON.parse(data));
    }
  }
}

// Files come from the address the simulator knows itself by; the page asks for them where it was loaded from.
export function local(url) {
  try {
    const parsed = new URL(url, location.href);
    return parsed.pathname.startsWith("/discord/cdn/") ? parsed.pathname : null;
  } catch {
    return null;
  }
}
