// Charts of sixty minutes. Each is drawn as SVG paths that stretch with the page, and says in words what it shows.

import { h, mark, say, svg } from "./dom.js";

const WIDTH = 240;
const HEIGHT = 60;
const LEAST = 1.2; // what is not nothing can be seen

// One bar for each minute, from `from` to `to` in the values' own unit.
function bars(values, below, most) {
  const step = WIDTH / values.length;
  let path = "";
  values.forEach((value, index) => {
    if (!value) return;
    const base = HEIGHT - (below[index] / most) * HEIGHT;
    const height = Math.max(LEAST, (value / most) * HEIGHT);
    const x = index * step;
    path += `M${x.toFixed(1)} ${base.toFixed(2)}v${(-height).toFixed(2)}h${(step * 0.8).toFixed(1)}v${height.toFixed(2)}z`;
  });
  return path;
}

// A round number no smaller than this.
export function ceiling(value) {
  if (value <= 5) return 5;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((round) => round >= value);
}

// A chart of stacked series. `update({ series: [[…], …], most, limit, label, readout(index) })`.
export function chart(kinds, { tall = false } = {}) {
  const paths = kinds.map((kind) => svg("path", { class: `bar ${kind}` }));
  const limit = svg("path", { class: "limit", "vector-effect": "non-scaling-stroke" });
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, paths, limit);
  const top = h("span", { class: "top", "aria-hidden": "true" });
  const readout = h("span", { class: "readout", "aria-hidden": "true" });
  const element = h("div", { class: tall ? "chart tall" : "chart", role: "img" }, drawing, top, readout);
  let shown = "";
  let read = null;
  let pointed = null;

  const point = () => say(readout, pointed === null || !read ? "" : read(pointed));
  element.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    pointed = Math.max(0, Math.min(59, Math.floor(((event.clientX - box.left) / box.width) * 60)));
    point();
  });
  element.addEventListener("pointerleave", () => { pointed = null; point(); });

  function update({ series, most, limit: bound = 0, label, topText = "", readout: tell }) {
    read = tell;
    mark(element, "aria-label", label);
    say(top, topText);
    const now = JSON.stringify([series, most, bound]);
    if (now !== shown) {
      shown = now;
      const below = series[0].map(() => 0);
      series.forEach((values, index) => {
        mark(paths[index], "d", bars(values, below, most));
        values.forEach((value, at) => { below[at] += value; });
      });
      const height = HEIGHT - (bound / most) * HEIGHT;
      mark(limit, "d", bound ? `M0 ${Math.max(0.5, height).toFixed(2)}H${WIDTH}` : "");
    }
    point();
  }
  return { element, update };
}

// A bar of a share between 0 and 1, for the eye only: the number stands beside it.
export function meter() {
  const fill = h("i");
  const element = h("span", { class: "meter", "aria-hidden": "true" }, fill);
  return {
    element,
    update(share, kind = "") {
      fill.style.width = `${(Math.max(0, Math.min(1, share)) * 100).toFixed(1)}%`;
      fill.className = kind;
    },
  };
}
