// Discord's markdown as DOM nodes. https://support.discord.com/hc/articles/210298617

import { h } from "./dom.js";

const FENCE = /^```([\w+#.-]*)[ \t]*\n?([\s\S]*?)```/;

// Returns the nodes of a message's text. `people` is {name(id), command(name)} for mentions.
export function markdown(text, people, locale) {
  const nodes = [];
  let plain = [];
  const lines = () => {
    if (plain.length) nodes.push(...blocks(plain.join("\n").replace(/^\n+|\n+$/g, ""), people, locale));
    plain = [];
  };
  let rest = text;
  while (rest) {
    const at = rest.indexOf("```");
    const fence = at >= 0 ? FENCE.exec(rest.slice(at)) : null;
    if (!fence) {
      // A fence that is still open is code so far: so a growing answer doesn't jump when it is closed.
      const open = at >= 0 && /^```([\w+#.-]*)[ \t]*\n([\s\S]+)$/.exec(rest.slice(at));
      plain.push(open ? rest.slice(0, at) : rest);
      if (open) { lines(); nodes.push(code(open[1], open[2])); }
      break;
    }
    plain.push(rest.slice(0, at));
    lines();
    nodes.push(code(fence[1], fence[2]));
    rest = rest.slice(at + fence[0].length);
  }
  lines();
  return nodes;
}

function code(language, body) {
  const label = language ? h("span", { class: "lang" }, language) : null;
  return h("div", { class: "codeblock" }, label, h("pre", { tabindex: "0" }, h("code", {}, body.replace(/\n$/, ""))));
}

function blocks(text, people, locale) {
  const inline = (line) => spans(line, people, locale);
  const found = [];
  const lines = text.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i];
    let match;
    if ((match = /^(#{1,3}) +(.+)/.exec(line))) found.push(h(`h${match[1].length + 2}`, {}, inline(match[2])));
    else if ((match = /^-# +(.+)/.exec(line))) found.push(h("p", { class: "small" }, inline(match[1])));
    else if ((match = /^>>> ?([\s\S]*)/.exec(lines.slice(i).join("\n")))) { found.push(h("blockquote", {}, blocks(match[1], people, locale))); break; }
    else if (/^> /.test(line)) {
      const quoted = [];
      while (i < lines.length && /^> ?/.test(lines[i])) quoted.push(lines[i++].replace(/^> ?/, ""));
      i--;
      found.push(h("blockquote", {}, blocks(quoted.join("\n"), people, locale)));
    } else if (/^ *([-*]|\d+\.) +\S/.test(line)) {
      const items = [];
      while (i < lines.length && /^ *([-*]|\d+\.) +\S/.test(lines[i])) items.push(lines[i++]);
      i--;
      found.push(list(items, inline));
    } else paragraph(found, line, inline);
  }
  return found;
}

function paragraph(found, line, inline) {
  const last = found.at(-1);
  if (last?.tagName === "P" && !last.classList.contains("small") && line) last.append(h("br"), ...inline(line));
  else if (line) found.push(h("p", {}, inline(line)));
  else found.push(h("div", { class: "gap" }));
}

function list(lines, inline) {
  const indent = (line) => /^ */.exec(line)[0].length;
  const ordered = /^ *\d+\./.test(lines[0]);
  const base = indent(lines[0]);
  const result = h(ordered ? "ol" : "ul", ordered ? { start: parseInt(lines[0], 10) } : {});
  for (let i = 0; i < lines.length; ) {
    const item = h("li", {}, inline(lines[i].replace(/^ *([-*]|\d+\.) +/, "")));
    const nested = [];
    for (i++; i < lines.length && indent(lines[i]) > base; i++) nested.push(lines[i]);
    if (nested.length) item.append(list(nested, inline));
    result.append(item);
  }
  return result;
}

// Each rule: how it begins, and what it becomes. The earliest match wins, longer marks before shorter ones.
const RULES = [
  [/\\([\\`*_~|<>[\]()#-])/, (m) => m[1]],
  [/``([^`]|[^`][\s\S]*?[^`])``(?!`)|`([^`\n]+)`/, (m) => h("code", {}, m[1] ?? m[2])],
  [/\*\*\*([\s\S]+?)\*\*\*/, (m, inner) => h("strong", {}, h("em", {}, inner(m[1])))],
  [/\*\*([\s\S]+?)\*\*(?!\*)/, (m, inner) => h("strong", {}, inner(m[1]))],
  [/__([\s\S]+?)__(?!_)/, (m, inner) => h("u", {}, inner(m[1]))],
  [/~~([\s\S]+?)~~/, (m, inner) => h("s", {}, inner(m[1]))],
  [/\|\|([\s\S]+?)\|\|/, (m, inner) => spoiler(inner(m[1]))],
  [/\*(?=\S)([^*\n]+?\S|\S)\*(?!\*)/, (m, inner) => h("em", {}, inner(m[1]))],
  [/(?<![\p{L}\p{N}_])_(?=\S)([^_\n]+?)_(?![\p{L}\p{N}_])/u, (m, inner) => h("em", {}, inner(m[1]))],
  [/\[([^\]\n]+)\]\(<?(https?:\/\/[^\s)>]+)>?\)/, (m, inner) => link(m[2], inner(m[1]))],
  [/<t:(-?\d{1,13})(?::([tTdDfFR]))?>/, (m, inner, people, locale) => time(Number(m[1]), m[2] || "f", locale)],
  [/<@!?(\d+)>/, (m, inner, people) => h("span", { class: "mention" }, "@" + people.name(m[1]))],
  [/<@&(\d+)>/, () => h("span", { class: "mention" }, "@role")],
  [/<#(\d+)>/, () => h("span", { class: "mention" }, "#general")],
  [/<\/([^:>]+):(\d+)>/, (m) => h("span", { class: "mention" }, "/" + m[1])],
  [/<a?:(\w+):\d+>/, (m) => `:${m[1]}:`],
  [/<(https?:\/\/[^\s>]+)>/, (m) => link(m[1], [m[1]])],
  [/https?:\/\/[^\s<]+[^\s<.,:;"')\]]/, (m) => link(m[0], [m[0]])],
];

function spans(text, people, locale) {
  let first = null;
  for (const [pattern, make] of RULES) {
    const match = pattern.exec(text);
    if (match && (!first || match.index < first.match.index)) first = { match, make };
  }
  if (!first) return text ? [text] : [];
  const { match, make } = first;
  const inner = (part) => spans(part, people, locale);
  return [text.slice(0, match.index), make(match, inner, people, locale), ...inner(text.slice(match.index + match[0].length))].filter((node) => node !== "");
}

const link = (url, children) => h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, children);

function spoiler(children) {
  const reveal = (event) => { if (event.type === "click" || event.key === "Enter" || event.key === " ") event.currentTarget.classList.add("shown"); };
  return h("span", { class: "spoiler", tabindex: "0", role: "button", onclick: reveal, onkeydown: reveal }, children);
}

const STYLES = {
  t: { timeStyle: "short" }, T: { timeStyle: "medium" }, d: { dateStyle: "short" }, D: { dateStyle: "long" },
  f: { dateStyle: "long", timeStyle: "short" }, F: { dateStyle: "full", timeStyle: "short" },
};

function time(seconds, style, locale) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return `<t:${seconds}>`;
  const full = new Intl.DateTimeFormat(locale, STYLES.F).format(date);
  const shown = style === "R" ? relative(seconds, locale) : new Intl.DateTimeFormat(locale, STYLES[style]).format(date);
  return h("time", { datetime: date.toISOString(), title: full, class: "stamp", "data-relative": style === "R" ? String(seconds) : null }, shown);
}

const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

export function relative(seconds, locale) {
  const distance = seconds - Date.now() / 1000;
  const [unit, size] = UNITS.find(([, length]) => Math.abs(distance) >= length) || UNITS.at(-1);
  return new Intl.RelativeTimeFormat(locale, { numeric: "auto" }).format(Math.round(distance / size), unit);
}
