// How a request is shown: one line that opens to its head, its body and its answer.

import { duration, h, pretty, time } from "./dom.js";

/** A request as a line to open. What is inside is made when it is opened. */
export function requestLine(seen) {
  const status = seen.status ?? (seen.fault ? "no answer" : "…");
  const line = h("details", { class: "request", data: { number: seen.number } },
    h("summary", {},
      h("span", { class: "number" }, `${seen.number}`),
      h("span", { class: "when" }, time(seen.at)),
      h("span", { class: statusClass(seen) }, `${status}`),
      h("span", { class: "method" }, seen.method),
      h("span", { class: "path" }, seen.path),
      seen.fault ? h("span", { class: "badge" }, seen.fault) : null));
  line.addEventListener("toggle", () => {
    if (line.open && line.children.length === 1) line.append(...inside(seen));
  });
  return line;
}

function statusClass(seen) {
  if (seen.status === null) return "status";
  return seen.status < 400 ? "status good" : "status bad";
}

function inside(seen) {
  const parts = [
    facts([
      ["Endpoint", seen.endpoint],
      ["Task", seen.task && h("a", { href: `#tasks/${seen.task}` }, seen.task)],
      ["Body", seen.body_bytes ? `${seen.body_bytes} bytes, hash ${seen.body_hash}` : null],
      ["Fault", seen.fault],
      ["Let in", seen.authorized ? null : "no: it had no accepted key"],
      ["Answer", seen.answer && `${seen.answer.body_bytes} bytes after ${duration(seen.answer.milliseconds)}`],
    ]),
    block("Request headers", headers(seen.headers)),
  ];
  if (seen.body) parts.push(block("Request body", pretty(seen.body)));
  if (seen.answer) {
    parts.push(block("Answer headers", headers(seen.answer.headers)));
    if (seen.answer.body) parts.push(block("Answer body", pretty(seen.answer.body)));
  }
  return parts;
}

function headers(pairs) {
  return pairs.map(([name, value]) => `${name}: ${value}`).join("\n");
}

function block(title, text) {
  return h("div", { class: "block" }, h("h4", {}, title), h("pre", { tabindex: "0" }, text));
}

/** A list of names and values; those without a value are left out. */
export function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", {}, known.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}
