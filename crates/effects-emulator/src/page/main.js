// The page's frame: which view is shown, what the emulator is, and the way in where it asks for a key.

import { control, signIn, store } from "./api.js";
import { announce, field, h, time } from "./dom.js";
import { controlView } from "./control.js";
import { tasksView } from "./tasks.js";
import { tryView } from "./try.js";

const main = document.getElementById("main");
const summary = document.getElementById("summary");
const titles = { try: "Try", tasks: "Tasks", control: "Control" };
// A view is made once and kept: leaving it must not end what runs in it.
const makers = { try: tryView, tasks: tasksView, control: controlView };
const views = {};

function show() {
  const [name, rest] = location.hash.slice(1).split("/");
  const chosen = name in makers ? name : "try";
  views[chosen] ??= makers[chosen]();
  main.replaceChildren(views[chosen].element);
  views[chosen].shown?.(rest);
  document.title = `${titles[chosen]} · Effects emulator`;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${chosen}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function summarise() {
  const about = store.about;
  if (!about) return;
  const parts = [
    store.connected ? null : "Connection lost, trying again",
    `${about.tasks} ${about.tasks === 1 ? "task" : "tasks"}`,
    `${about.spent} USD spent${about.balance === null ? "" : ` of ${about.balance}`}`,
    about.clock === "virtual" ? `virtual clock ${time(about.now)}` : null,
  ];
  summary.textContent = parts.filter(Boolean).join(" · ");
  summary.classList.toggle("lost", !store.connected);
}

/** Asks for the key, as an emulator does that other machines can reach. */
function askForKey(reason) {
  summary.textContent = "";
  const key = h("input", { type: "password", autocomplete: "off", required: true, id: "key" });
  const failure = h("p", { class: "failure", role: "alert" });
  const form = h("form", { class: "card narrow" },
    h("h2", {}, "This emulator asks for its key"),
    h("p", {}, reason),
    field("API key", key), failure,
    h("button", { class: "primary" }, "Open"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await signIn(key.value.trim());
      start();
    } catch (error) {
      failure.textContent = error.message;
      key.select();
    }
  });
  main.replaceChildren(form);
  key.focus();
}

async function start() {
  try {
    store.about = await control("GET", "");
  } catch (error) {
    if (error.status === 401) {
      askForKey("Other machines can reach it, so it opens to those who have the key it was started with.");
    } else {
      summary.textContent = "";
      main.replaceChildren(h("p", { class: "failure", role: "alert" }, error.message));
    }
    return;
  }
  store.watch(summarise);
  summarise();
  store.connect();
  addEventListener("hashchange", () => {
    show();
    main.focus({ preventScroll: true });
    announce(document.title);
  });
  show();
}

start();
