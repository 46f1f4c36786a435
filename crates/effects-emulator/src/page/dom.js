// Elements from plain values. Texts become text nodes, so nothing that a client has sent is ever read
// as HTML.

/** Makes an element: `h("a", { href: "#" }, "text", child)`. A property that begins with `on` is a
 * listener, `class` the class, `data` the data attributes; `null` and `false` leave one out. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Says something to those who listen to the page. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

/** A button that copies a text and says that it did. */
export function copyButton(text, label) {
  const button = h("button", { type: "button", class: "copy", "aria-label": `Copy ${label}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(typeof text === "function" ? text() : text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select and copy by hand";
    }
    announce(`${label}: ${button.textContent}`);
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  return button;
}

/** A labelled field: the label's text, then the control. */
export function field(label, control, hint) {
  return h("label", { class: "field" }, h("span", {}, label), control, hint ? h("small", {}, hint) : null);
}

/** A time of the emulator's clock. */
export function time(milliseconds) {
  return new Date(milliseconds).toLocaleTimeString([], { hour12: false });
}

export function duration(milliseconds) {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

/** JSON with its lines broken, any other text as it is. */
export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** The path of a link to this emulator, whatever name the link has for it. */
export function ownPath(url) {
  const parsed = new URL(url, location.href);
  return parsed.pathname + parsed.search;
}
