// The second view: every task as a card with its picture, filtered, and one task's whole life.

import { control, store } from "./api.js";
import { announce, duration, field, h, time } from "./dom.js";
import { facts, requestLine } from "./requests.js";

export function tasksView() {
  const status = h("select", { id: "status" },
    ...[["", "any"], ["in_progress", "in progress"], ["completed", "completed"], ["failed", "failed"]]
      .map(([value, text]) => h("option", { value }, text)));
  const words = h("input", { type: "search", id: "words", placeholder: "template or id" });
  const count = h("p", { class: "count", role: "status" });
  const gallery = h("ul", { class: "gallery", "aria-label": "Tasks" });
  const detail = h("section", { class: "card detail", hidden: true, "aria-label": "One task" });
  const element = h("div", {}, h("div", { class: "row" }, field("Status", status), field("Find", words), count),
    detail, gallery);
  const cards = new Map();
  let shownId = null;

  function matches(task) {
    const text = words.value.trim().toLowerCase();
    return (!status.value || task.status === status.value)
      && (!text || `${task.template_id} ${task.id}`.toLowerCase().includes(text));
  }

  function put(task) {
    const card = cards.get(task.id);
    // What has not changed keeps its element, and with it the picture that is loaded.
    if (card && card.dataset.status === task.status) return;
    const made = taskCard(task);
    made.hidden = !matches(task);
    if (card) card.replaceWith(made);
    else gallery.prepend(made);
    cards.set(task.id, made);
  }

  function filter() {
    let shown = 0;
    for (const [id, card] of cards) {
      const task = store.tasks.get(id);
      card.hidden = !task || !matches(task);
      if (!card.hidden) shown += 1;
    }
    count.textContent = cards.size === 0
      ? "No tasks yet: make one in Try, or point a client here."
      : `${shown} of ${cards.size} ${cards.size === 1 ? "task" : "tasks"}`;
  }

  function update(event) {
    if (event.anew) {
      cards.clear();
      gallery.replaceChildren();
      for (const task of store.tasks.values()) put(task);
    } else {
      for (const task of event.tasks) put(task);
      for (const [id, card] of cards) {
        if (!store.tasks.has(id)) {
          card.remove();
          cards.delete(id);
        }
      }
    }
    filter();
    const isAbout = event.anew || event.tasks.some((task) => task.id === shownId)
      || event.requests.some((seen) => seen.task === shownId);
    if (shownId && isAbout) showTask(shownId);
  }

  function showTask(id) {
    const task = store.tasks.get(id);
    shownId = id;
    detail.hidden = false;
    const open = new Set([...detail.querySelectorAll("details[open]")].map((line) => line.dataset.number));
    detail.replaceChildren(...(task ? lifeOf(task) : [h("p", {}, "There is no such task, or no longer.")]),
      h("button", { type: "button", class: "quiet", onclick: () => { location.hash = "tasks"; } }, "Close"));
    for (const line of detail.querySelectorAll("details.request")) line.open = open.has(line.dataset.number);
  }

  status.addEventListener("change", filter);
  words.addEventListener("input", filter);
  store.watch(update);
  update({ anew: true, tasks: [], requests: [] });
  return {
    element,
    shown(id) {
      if (id) {
        showTask(id);
        detail.scrollIntoView({ block: "start" });
      } else {
        shownId = null;
        detail.hidden = true;
      }
    },
  };
}

/** Looking at a picture here is no request that a test would count. */
function picturePath(task) {
  return `/_emulator/tasks/${encodeURIComponent(task.id)}/picture`;
}

function taskCard(task) {
  const name = task.template_id ?? "no template";
  const picture = task.picture
    ? h("img", { src: picturePath(task), alt: "", loading: "lazy", decoding: "async", width: 160, height: 160 })
    : h("span", { class: "blank" }, task.status === "failed" ? task.error.code : "…");
  return h("li", { data: { status: task.status, id: task.id } },
    h("a", { href: `#tasks/${task.id}` },
      picture,
      h("strong", {}, name),
      h("span", { class: `state ${task.status}` }, task.status.replace("_", " ")),
      h("small", {}, task.status === "in_progress"
        ? `since ${time(task.created)}`
        : `${duration(task.finished - task.created)}${task.cost ? ` · ${task.cost} USD` : ""}`)));
}

/** Everything that is known of a task, in the order it happened. */
function lifeOf(task) {
  const failure = h("p", { class: "failure", role: "alert" });
  const end = (how) => async () => {
    try {
      await control("POST", `tasks/${encodeURIComponent(task.id)}/${how}`);
      announce(`The task is ${how === "fail" ? "failed" : "finished"}.`);
    } catch (error) {
      failure.textContent = error.message;
    }
  };
  const requests = task.requests.map((number) => store.requests.get(number)).filter(Boolean);
  const path = task.picture && picturePath(task);
  return [
    h("h2", {}, `Task ${task.id}`),
    h("div", { class: "life" },
      path ? h("a", { href: path, target: "_blank", rel: "noopener" }, h("img", { src: path, class: "picture", alt: `Its picture, ${task.template_id}` })) : null,
      facts([
        ["Status", h("span", { class: `state ${task.status}` }, task.status.replace("_", " "))],
        ["Template", task.template_id],
        ["Size", task.width ? `${task.width} × ${task.height}` : null],
        ["Error", task.error && `${task.error.code}: ${task.error.message}`],
        ["Cost", task.cost && `${task.cost} USD`],
        ["Accepted", `${time(task.created)} by the ${task.surface} surface`],
        ["Finished", task.finished && `${time(task.finished)}, after ${duration(task.finished - task.created)}`],
        ["Due", task.finished ? null : time(task.due)],
        ["Looks", `${task.looks}`],
        ["Fault", task.fault && JSON.stringify(task.fault)],
      ])),
    task.status === "in_progress" ? h("div", { class: "row" },
      h("button", { type: "button", onclick: end("finish") }, "Finish it now"),
      h("button", { type: "button", class: "danger", onclick: end("fail") }, "Let it fail")) : null,
    failure,
    h("h3", {}, `Its requests (${task.requests.length})`),
    h("div", { class: "requests" }, requests.map(requestLine)),
    requests.length < task.requests.length
      ? h("p", { class: "empty" }, `${task.requests.length - requests.length} older ones are not shown here.`) : null,
  ].filter(Boolean);
}
