// The third view: requests as they come; faults, scripts, limits, the clock and a new beginning.

import { control, store } from "./api.js";
import { announce, field, h, time } from "./dom.js";
import { requestLine } from "./requests.js";

/** Each kind of fault: where it can happen, what it is, and its fields with their usual values. */
const FAULTS = [
  ["status", "any", "another answer: an HTTP status", { status: 503 }],
  ["reset", "any", "the connection is reset", { when: "before" }],
  ["close", "any", "the connection is closed without an answer", { when: "before" }],
  ["hang", "any", "no answer comes", { when: "before", seconds: 60 }],
  ["slow", "any", "the answer comes late", { seconds: 5 }],
  ["drip", "any", "the answer comes in drops", { bytes: 16, pause: 0.1 }],
  ["truncate", "any", "the answer breaks off", { keep: 0.5 }],
  ["garbage", "any", "the answer cannot be read", {}],
  ["fail", "task", "the task fails with a code", { code: "3009095" }],
  ["no-url", "task", "the task is completed without a URL", {}],
  ["wrong-size", "task", "the picture's bytes are told wrong", {}],
  ["wrong-sides", "task", "the picture has other sides", {}],
  ["expired-link", "task", "the picture's link expires", { seconds: 0 }],
  ["missing", "task", "the task is not found at first", { looks: 2 }],
  ["take", "task", "the task takes this long", { seconds: 10 }],
  ["finished", "task", "the create answers with the finished task", {}],
  ["stale", "look", "the task seems to run still", {}],
  ["word", "look", "the task's status is another word", { status: "processing" }],
];

const ENDPOINTS = {
  any: ["create", "task", "queue-submit", "queue-status", "queue-response", "queue-cancel", "file", "upload", "catalogue", "account", "other"],
  task: ["create", "queue-submit"],
  look: ["task", "queue-status", "queue-response"],
};

export function controlView() {
  const requests = requestsPanel();
  const plan = planPanel();
  const world = worldPanel();
  const element = h("div", { class: "columns" }, h("div", {}, requests.element),
    h("div", {}, plan.element, world.element));
  return { element, shown() { plan.refresh(); world.refresh(); } };
}

function requestsPanel() {
  const words = h("input", { type: "search", id: "find-requests", placeholder: "path, endpoint, status, fault" });
  const list = h("div", { class: "requests" });
  const count = h("p", { class: "count", role: "status" });
  const lines = new Map();
  const matches = (seen) => {
    const text = words.value.trim().toLowerCase();
    const all = `${seen.method} ${seen.path} ${seen.endpoint} ${seen.status} ${seen.fault ?? ""} ${seen.body}`;
    return !text || all.toLowerCase().includes(text);
  };
  const put = (seen) => {
    const before = lines.get(seen.number);
    const line = requestLine(seen);
    line.hidden = !matches(seen);
    if (before) {
      line.open = before.open;
      before.replaceWith(line);
    } else {
      list.prepend(line);
    }
    lines.set(seen.number, line);
  };
  const tell = () => {
    const shown = [...lines.values()].filter((line) => !line.hidden).length;
    count.textContent = lines.size === 0 ? "No requests yet." : `${shown} of ${lines.size} requests`;
  };
  const update = (event) => {
    if (event.anew) {
      lines.clear();
      list.replaceChildren();
    }
    const changed = event.anew ? store.requests.values() : event.requests;
    for (const seen of changed) put(seen);
    for (const [number, line] of lines) {
      if (!store.requests.has(number)) {
        line.remove();
        lines.delete(number);
      }
    }
    tell();
  };
  words.addEventListener("input", () => {
    for (const [number, line] of lines) line.hidden = !matches(store.requests.get(number));
    tell();
  });
  store.watch(update);
  update({ anew: true, requests: [] });
  return { element: h("section", { class: "card" }, h("h2", {}, "Requests"),
    h("div", { class: "row" }, field("Find", words), count), list) };
}

function planPanel() {
  const failure = h("p", { class: "failure", role: "alert" });
  const kind = h("select", { id: "kind" }, FAULTS.map(([name, , what]) => h("option", { value: name }, `${name}: ${what}`)));
  const on = h("select", { id: "on" });
  const fields = h("textarea", { id: "fields", rows: 3, spellcheck: "false" });
  const when = h("select", { id: "when" },
    ...[["next", "the next request"], ["next3", "the next 3 requests"], ["always", "every request"], ["half", "every second request"], ["tenth", "one in ten, by chance"]]
      .map(([value, text]) => h("option", { value }, text)));
  const armed = h("ul", { class: "armed", "aria-label": "Armed faults" });
  const limits = limitsForm(() => refresh());
  const chosen = () => FAULTS.find(([name]) => name === kind.value);
  const suit = () => {
    const [, where, , usual] = chosen();
    on.replaceChildren(...ENDPOINTS[where].map((name) => h("option", { value: name }, name)));
    fields.value = JSON.stringify(usual);
  };
  kind.addEventListener("change", suit);
  suit();

  const form = h("form", {}, field("Fault", kind), h("div", { class: "row" }, field("On", on), field("Meets", when)),
    field("Its fields, as JSON", fields), failure, h("button", { class: "primary" }, "Arm it"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    failure.textContent = "";
    try {
      const fault = { kind: kind.value, ...JSON.parse(fields.value || "{}") };
      if (when.value.startsWith("next")) {
        const times = when.value === "next" ? 1 : 3;
        await control("POST", "next", { on: on.value, faults: Array(times).fill(fault) });
      } else {
        const often = { always: {}, half: { every: 2 }, tenth: { chance: 0.1 } }[when.value];
        await change((plan) => { plan.fault.push({ on: on.value, ...often, ...fault }); });
      }
      announce(`${kind.value} is armed on ${on.value}.`);
      refresh();
    } catch (error) {
      failure.textContent = error.message;
    }
  });

  const script = h("textarea", { id: "script", rows: 3, spellcheck: "false" },
    '[{"kind": "reset", "when": "after"}, null, {"kind": "no-url"}]');
  const scripting = h("form", {},
    field("The next outcomes, as a JSON list", script, "first to last, on the endpoint chosen above; null is nothing amiss"),
    h("button", {}, "Script them"));
  scripting.addEventListener("submit", async (event) => {
    event.preventDefault();
    failure.textContent = "";
    try {
      await control("POST", "next", { on: on.value, faults: JSON.parse(script.value) });
      announce(`The next outcomes on ${on.value} are scripted.`);
      refresh();
    } catch (error) {
      failure.textContent = error.message;
    }
  });

  async function refresh() {
    try {
      const [plan, scripts] = await Promise.all([control("GET", "faults"), control("GET", "next")]);
      limits.show(plan);
      const scripted = scripts.map(({ on: where, template, key, faults }) => h("li", {},
        `next on ${where}${template ? `, ${template}` : ""}${key ? `, one key` : ""}: `,
        h("code", {}, faults.map((fault) => fault?.kind ?? "nothing amiss").slice(0, 20).join(", "))));
      const ruled = plan.fault.map(({ on: where, ...rest }, at) => h("li", {},
        `on ${where}: `, h("code", {}, JSON.stringify(rest)),
        h("button", { type: "button", class: "quiet", "aria-label": `Disarm fault ${at + 1}`, onclick: () => act(() => change((now) => { now.fault.splice(at, 1); })) }, "Disarm")));
      const forget = scripted.length
        ? h("li", {}, h("button", { type: "button", class: "quiet", onclick: () => act(() => control("DELETE", "next")) }, "Forget what is scripted")) : null;
      armed.replaceChildren(...[...scripted, forget, ...ruled].filter(Boolean));
      if (!armed.children.length) armed.append(h("li", { class: "empty" }, "Nothing is armed."));
    } catch (error) {
      failure.textContent = error.message;
    }
  }
  async function act(work) {
    try {
      await work();
    } catch (error) {
      failure.textContent = error.message;
    }
    refresh();
  }
  // A request may have met what was scripted.
  let due = null;
  store.watch(() => {
    if (due || !armed.isConnected) return;
    due = setTimeout(() => { due = null; refresh(); }, 300);
  });
  return {
    element: h("div", {},
      h("section", { class: "card" }, h("h2", {}, "Faults"), form,
        h("details", {}, h("summary", {}, "Script several outcomes"), scripting), h("h3", {}, "Armed"), armed),
      h("section", { class: "card" }, h("h2", {}, "Limits"), limits.element)),
    refresh,
  };
}

/** Changes the plan that is followed now. */
async function change(edit) {
  const plan = await control("GET", "faults");
  edit(plan);
  await control("PUT", "faults", plan);
}

function limitsForm(changed) {
  const number = (id, properties) => h("input", { type: "number", id, min: "0", step: "any", ...properties });
  const requests = number("limit-requests", { placeholder: "no limit" });
  const seconds = number("limit-seconds", { value: "1" });
  const balance = number("balance", { placeholder: "no limit" });
  const failure = h("p", { class: "failure", role: "alert" });
  const form = h("form", {},
    h("div", { class: "row" }, field("Requests of a key", requests), field("within seconds", seconds), field("Balance, USD", balance)),
    failure, h("button", {}, "Set the limits"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    failure.textContent = "";
    try {
      await change((plan) => {
        const on = plan.rate_limit?.on ?? null;
        plan.rate_limit = requests.value ? { requests: Number(requests.value), seconds: Number(seconds.value), on } : null;
        plan.balance = balance.value === "" ? null : balance.value;
      });
      announce("The limits are set.");
      changed();
    } catch (error) {
      failure.textContent = error.message;
    }
  });
  return {
    element: form,
    show(plan) {
      if (form.contains(document.activeElement)) return;
      requests.value = plan.rate_limit?.requests ?? "";
      seconds.value = plan.rate_limit?.seconds ?? 1;
      balance.value = plan.balance ?? "";
    },
  };
}

function worldPanel() {
  const now = h("p", {});
  const failure = h("p", { class: "failure", role: "alert" });
  const act = (work, words) => async () => {
    failure.textContent = "";
    try {
      await work();
      announce(words);
    } catch (error) {
      failure.textContent = error.message;
    }
  };
  const steps = [["10 s", 10], ["1 min", 60], ["1 h", 3600], ["1 day", 86400]];
  const buttons = steps.map(([label, by]) => h("button", {
    type: "button", onclick: act(() => control("POST", "clock/advance", { seconds: by }), `The clock moved by ${label}.`),
  }, `+ ${label}`));
  const keepPlan = h("input", { type: "checkbox", id: "keep-plan" });
  const keepClock = h("input", { type: "checkbox", id: "keep-clock" });
  const reset = h("button", { type: "button", class: "danger", onclick: () => dialog.showModal() }, "Begin anew…");
  const confirm = h("button", { type: "button", class: "danger", onclick: act(async () => {
    const keep = [keepPlan.checked && "plan", keepClock.checked && "clock"].filter(Boolean);
    dialog.close();
    await control("POST", "reset", { keep });
  }, "Everything is forgotten.") }, "Forget everything");
  const dialog = h("dialog", { "aria-labelledby": "reset-title" },
    h("h2", { id: "reset-title" }, "Begin anew?"),
    h("p", {}, "All tasks, pictures, requests and what was spent are forgotten."),
    h("label", { class: "check" }, keepPlan, " Keep the plan of faults and the limits"),
    h("label", { class: "check" }, keepClock, " Keep what a virtual clock shows"),
    h("div", { class: "row" }, confirm,
      h("button", { type: "button", onclick: () => dialog.close() }, "Cancel")));
  const refresh = () => {
    const { clock, now: at } = store.about;
    now.replaceChildren(...(clock === "virtual"
      ? [`The clock is virtual and shows ${time(at)} on ${new Date(at).toLocaleDateString()}.`]
      : ["The clock is the machine's and moves by itself. Start the emulator with ",
        h("code", { class: "whole" }, "--clock virtual"), " to move it."]));
    for (const button of buttons) button.disabled = clock !== "virtual";
  };
  store.watch(refresh);
  refresh();
  return {
    element: h("section", { class: "card" }, h("h2", {}, "Clock"), now, h("div", { class: "row" }, buttons),
      h("h2", {}, "Reset"), reset, failure, dialog),
    refresh,
  };
}
