// The first view: a photo, a look, a size; then the exchange with the gateway as it happens, the
// picture, and the same as a program.

import { control, messageOf, store } from "./api.js";
import { announce, copyButton, duration, field, h, ownPath, pretty } from "./dom.js";

export function tryView() {
  const state = { photo: null, name: "photo.jpg", uploaded: null, template: "glass_ball", running: false };
  const preview = h("img", { class: "preview", alt: "The photo" });
  const file = h("input", { type: "file", accept: "image/png,image/jpeg,image/webp", id: "photo" });
  const drop = h("div", { class: "drop" }, preview,
    h("div", {},
      h("label", { for: "photo", class: "button" }, "Choose a photo"), file,
      h("p", {}, "or drop one here, or paste it. PNG, JPEG, WebP, GIF, BMP or TIFF."),
      h("button", { type: "button", class: "quiet", onclick: () => builtIn() }, "Use the built-in photo")));
  const failure = h("p", { class: "failure", role: "alert" });
  const looks = h("div", { class: "looks", role: "radiogroup", "aria-label": "Look" });
  const width = h("input", { type: "number", value: "1024", required: true, id: "width" });
  const height = h("input", { type: "number", value: "1024", required: true, id: "height" });
  const go = h("button", { class: "primary", disabled: true }, "Make the picture");
  const result = h("div", { class: "result" });
  const exchange = h("ol", { class: "exchange", "aria-label": "The exchange" });
  const program = h("div", {});
  const form = h("form", { class: "card" },
    h("h2", {}, "1. A photo"), drop,
    h("h2", {}, "2. A look"), looks,
    h("h2", {}, "3. A size"),
    h("div", { class: "row" }, field("Width", width), field("Height", height), go), failure);
  const element = h("div", { class: "columns" }, form,
    h("div", {},
      h("section", { class: "card" }, h("h2", {}, "The picture"), result),
      h("section", { class: "card" }, h("h2", {}, "The exchange"), exchange),
      h("section", { class: "card" }, h("h2", {}, "The same as a program"), program)));
  result.append(h("p", { class: "empty" }, "Nothing yet."));
  exchange.append(h("li", { class: "empty" }, "Each request will stand here as a curl line, with its answer."));

  const painter = new LooksPainter(looks, () => state.running);
  // A reset forgets the photo that the looks are painted of.
  store.watch((event) => event.reset && painter.stop());

  async function useBlob(blob, name) {
    failure.textContent = "";
    if (preview.src) URL.revokeObjectURL(preview.src);
    preview.src = URL.createObjectURL(blob);
    Object.assign(state, { photo: blob, name, uploaded: null });
    go.disabled = false;
    write();
    try {
      // The looks are of this photo. The exchange below uploads it as a client would.
      const form = new FormData();
      form.append("file", blob, name);
      const answer = await fetch("/api/v1/storage/files", { method: "POST", body: form });
      const text = await answer.text();
      if (!answer.ok) throw new Error(messageOf(text) ?? `HTTP ${answer.status}`);
      if (state.photo === blob) painter.paint(new URL(JSON.parse(text).url).pathname.split("/").pop());
    } catch (error) {
      failure.textContent = `The photo: ${error.message}`;
    }
  }

  async function builtIn() {
    const answer = await fetch("/page/photo.jpg");
    await useBlob(await answer.blob(), "photo.jpg");
  }

  file.addEventListener("change", () => file.files[0] && useBlob(file.files[0], file.files[0].name));
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const dropped = event.dataTransfer.files[0];
    if (dropped) useBlob(dropped, dropped.name);
  });
  document.addEventListener("paste", (event) => {
    const pasted = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (pasted && element.isConnected) useBlob(pasted, pasted.name || "photo.png");
  });
  looks.addEventListener("change", (event) => { state.template = event.target.value; write(); });
  for (const side of [width, height]) side.addEventListener("input", write);

  function write() {
    program.replaceChildren(...programs(state, width.value, height.value));
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (state.running) return;
    state.running = true;
    go.disabled = true;
    exchange.replaceChildren();
    try {
      await run(state, Number(width.value), Number(height.value), exchange, result);
    } catch (error) {
      result.replaceChildren(h("p", { class: "failure", role: "alert" }, error.message));
      announce(error.message);
    } finally {
      state.running = false;
      go.disabled = false;
      painter.goOn();
    }
  });

  (async () => {
    try {
      const known = await control("GET", "looks");
      for (const side of [width, height]) {
        side.min = known.least_side;
        side.max = known.most_side;
      }
      looks.append(...known.templates.map((template) => lookChoice(template, state.template)));
      await builtIn();
    } catch (error) {
      failure.textContent = error.message;
    }
  })();
  return { element };
}

function lookChoice({ id, title }, chosen) {
  return h("label", { class: "look", title: id },
    h("input", { type: "radio", name: "template", value: id, checked: id === chosen }),
    h("span", { class: "thumb", data: { template: id } }), h("span", { class: "title" }, title));
}

/** Has the thirty looks painted, one after the other, while no task of a person's own runs: the
 * machine has few cores, and the browser few connections. */
class LooksPainter {
  #looks;
  #isBusy;
  #photo = null;
  #at = 0;
  #painting = false;

  constructor(looks, isBusy) {
    this.#looks = looks;
    this.#isBusy = isBusy;
  }

  paint(photo) {
    this.#photo = photo;
    this.#at = 0;
    this.goOn();
  }

  stop() {
    this.#photo = null;
  }

  async goOn() {
    if (this.#painting) return;
    this.#painting = true;
    try {
      let places = this.#looks.querySelectorAll(".thumb");
      while (this.#photo && this.#at < places.length && !this.#isBusy()) {
        const photo = this.#photo;
        await this.#one(places[this.#at], photo);
        if (photo === this.#photo) this.#at += 1;
        places = this.#looks.querySelectorAll(".thumb");
      }
    } finally {
      this.#painting = false;
    }
  }

  async #one(place, photo) {
    const path = `/_emulator/looks/${place.dataset.template}?photo=${encodeURIComponent(photo)}`;
    const image = h("img", { src: path, alt: "", width: 96, height: 96 });
    try {
      await image.decode();
      place.replaceChildren(image);
    } catch {
      // The photo is none, or was forgotten: the others would fail as well.
      if (photo === this.#photo) this.#photo = null;
    }
  }
}

/** A whole run: upload, create, looks, picture; each written down as it happens. */
async function run(state, width, height, exchange, result) {
  const began = performance.now();
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Progress" });
  const words = h("p", {}, "Uploading the photo…");
  result.replaceChildren(bar, words);

  const form = new FormData();
  form.append("file", state.photo, state.name);
  const uploaded = await call(exchange, "POST", "/api/v1/storage/files",
    { body: form, shown: `-F file=@${shell(state.name)}` });
  const { template } = state;
  const params = { image_input1: uploaded.url, template_id: template, width, height };
  const body = JSON.stringify({ model: "spark_img_effects", input: [{ params }] });
  const created = await call(exchange, "POST", "/model/v1/generation", {
    body, headers: { "Content-Type": "application/json" },
    shown: `-H 'Content-Type: application/json' -d ${shell(body)}`,
  });
  words.textContent = `Task ${created.id} is accepted.`;
  let task = created;
  let looks = null;
  for (let wait = 100; !["completed", "failed"].includes(task.status); wait = Math.min(wait * 1.3, 1000)) {
    await new Promise((resolve) => { setTimeout(resolve, wait); });
    looks = await call(exchange, "GET", `/model/v1/generation/task/${created.id}`, { again: looks });
    task = looks.json;
    bar.value = task.progress ?? 0;
    const left = store.tasks.get(created.id);
    const rest = left ? left.due - (store.about.now + (performance.now() - began)) : 0;
    const eta = task.progress > 0.02 && rest > 1000 ? `, about ${duration(rest)} left` : "";
    words.textContent = `${task.status.replace("_", " ")}, ${Math.round((task.progress ?? 0) * 100)} %${eta}`;
  }
  if (task.status === "failed") {
    const { code, error_message: message } = task.error;
    throw new Error(`The task failed with ${code}: ${message}`);
  }
  const url = task.output?.[0]?.content?.[0]?.url;
  if (!url) throw new Error("The task is completed, but has no picture's URL.");
  const picture = await call(exchange, "GET", ownPath(url), { file: true });
  const source = URL.createObjectURL(picture);
  const took = duration(performance.now() - began);
  const name = `${template}.png`;
  result.replaceChildren(
    h("img", { src: source, class: "picture", alt: `The photo as ${template}` }),
    h("p", {}, `${took}, ${task.usage?.cost ?? "?"} USD, task `, h("a", { href: `#tasks/${created.id}` }, created.id)),
    h("p", {}, h("a", { href: source, download: name, class: "button" }, `Download ${name}`)));
  announce(`The picture is there after ${took}.`);
}

/** Sends a request and writes it down with its answer; another look at a task takes the line of the
 * one before. */
async function call(exchange, method, path, { body, headers, shown = "", file = false, again } = {}) {
  const line = `curl ${method === "GET" ? "" : `-X ${method} `}-H "Authorization: Bearer $EFFECTS_API_KEY" ${shell(location.origin + path)}${file ? " -o picture.png" : ""}${shown ? ` ${shown}` : ""}`;
  const entry = again === undefined || again === null ? h("li", {}) : again.entry;
  const times = (again?.times ?? 0) + 1;
  const status = h("span", { class: "status" }, "…");
  const answerText = h("pre", { tabindex: "0" }, "");
  if (!again) {
    entry.append(h("div", { class: "line" }, h("code", {}, line), copyButton(line, "the curl line")),
      h("details", {}, h("summary", {}, status), answerText));
    exchange.append(entry);
  }
  const shownStatus = again ? entry.querySelector(".status") : status;
  const shownAnswer = again ? entry.querySelector("pre") : answerText;
  const sent = performance.now();
  const fail = (words) => {
    shownStatus.textContent = words;
    entry.classList.add("failed");
    throw new Error(words);
  };
  let answer;
  let text;
  try {
    answer = await fetch(path, { method, body, headers });
    text = file && answer.ok ? await answer.blob() : await answer.text();
  } catch {
    fail(`No answer to ${method} ${path}: the connection broke off.`);
  }
  const took = duration(performance.now() - sent);
  shownStatus.textContent = `${answer.status} after ${took}${times > 1 ? `, ${times} times` : ""}`;
  shownAnswer.textContent = file && answer.ok ? `${text.type}, ${text.size} bytes` : pretty(text);
  if (!answer.ok) fail(`HTTP ${answer.status}: ${messageOf(text) ?? text.slice(0, 200)}`);
  if (file) return text;
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    fail(`${method} ${path}: the answer is no JSON.`);
  }
  return again === undefined ? json : { json, entry, times };
}

/** A word for a POSIX shell. */
function shell(word) {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The run in Python, in Rust and on the command line. */
function programs({ template, name }, width, height) {
  const [sides, origin] = [`${width}, ${height}`, location.origin];
  const text = JSON.stringify(name);
  return [
    ["Python", `import os
from spark_effects import Client

client = Client(base_url="${origin}", api_key=os.environ["EFFECTS_API_KEY"])
effect = client.run("${template}", ${text}, width=${width}, height=${height})
effect.save("${template}.png")`],
    ["Rust", `let client = effects_ureq::Client::builder()
    .base_url("${origin}")
    .api_key(std::env::var("EFFECTS_API_KEY")?)
    .build()?;
let photo = client.upload(&read_photo(Path::new(${text}))?)?;
let request = EffectRequest::new("${template}".parse::<Template>()?, photo.as_str())?;
let effect = client.run(request.sized(Size::new(${sides}))?)?;
client.download(&effect.pictures[0], "${template}.png")?;`],
    ["Command", `EFFECTS_BASE_URL=${origin} effects run ${template} ${shell(name)} --width ${width} --height ${height} -o ${template}.png`],
  ].map(([language, code]) => h("details", { class: "program", open: language === "Python" },
    h("summary", {}, language),
    h("div", { class: "code" }, copyButton(code, `the ${language} program`), h("pre", { tabindex: "0" }, h("code", {}, code)))));
}
