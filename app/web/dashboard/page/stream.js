// Follows the events, for ever. A browser gives up a stream that was answered by an error, and does not notice one that
// has fallen silent; so this looks after both itself.

const EVENTS = "dashboard/events";
const RETRY_MS = 700;
const SILENT_MS = 6000; // a picture comes every second
const LOOK_MS = 1000;
const HIDDEN_MS = 60000; // a page that nobody sees costs nothing

// Calls `on.picture(data)`, `on.trouble(data)`, `on.lost()` when the connection goes, and `on.paused()`.
export function follow(on) {
  let source = null;
  let heard = 0;
  let hiddenSince = 0;
  let waiting = null;

  function open() {
    waiting = null;
    heard = Date.now();
    const opened = new EventSource(EVENTS);
    source = opened;
    const take = (handler) => (event) => {
      if (source !== opened) return;
      heard = Date.now();
      handler(JSON.parse(event.data));
    };
    opened.addEventListener("picture", take(on.picture));
    opened.addEventListener("trouble", take(on.trouble));
    opened.addEventListener("error", () => { if (source === opened) again(); });
  }

  function close() {
    source?.close();
    source = null;
  }

  function again() {
    close();
    on.lost();
    waiting ??= setTimeout(open, RETRY_MS);
  }

  setInterval(() => {
    if (source && Date.now() - heard > SILENT_MS) again();
    if (source && hiddenSince && Date.now() - hiddenSince > HIDDEN_MS) {
      close();
      on.paused();
    }
  }, LOOK_MS);

  document.addEventListener("visibilitychange", () => {
    hiddenSince = document.hidden ? Date.now() : 0;
    if (!document.hidden && !source && !waiting) open();
  });

  open();
}
