// Draws a report of what the page carries as JSON. Texts become text nodes, so nothing that a manifest, a
// file's name or a service says is ever read as HTML.

const data = (name) => JSON.parse(document.getElementById(name)?.textContent ?? "null");
const main = document.getElementById("main");

/** Makes an element: `h("a", { href: "#" }, "text", child)`. What begins with `on` is a listener; `null` and
 * `false` leave a property or a child out. */
function h(tag, properties, ...children) {
  const isDrawing = ["svg", "rect", "path", "title"].includes(tag);
  const element = isDrawing ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const number = (value) => value.toLocaleString("en");
const counted = (count, what) => `${number(count)} ${what}${count === 1 ? "" : "s"}`;
const usd = (amount) => `${amount} USD`;
const words = (name) => name.replaceAll("_", " ");

function seconds(value) {
  if (value < 10) return `${Number(value.toFixed(2))} s`;
  if (value < 120) return `${Math.round(value)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  return `${Math.round(value / 3600)} h`;
}

/** A part of the page with its heading. */
function card(id, title, ...children) {
  return h("section", { class: "card", "aria-labelledby": id }, h("h2", { id }, title), ...children);
}

/** A table: the names of its columns, and its rows, each of which begins with its heading. */
function table(caption, columns, rows) {
  const cells = ([first, ...rest]) => h("tr", null, h("th", { scope: "row" }, first), rest.map((cell) => h("td", null, cell)));
  return h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": caption },
    h("table", null, h("caption", { class: "hidden" }, caption),
      h("thead", null, h("tr", null, columns.map((column) => h("th", { scope: "col" }, column)))),
      h("tbody", null, rows.map(cells))));
}

/** A bar as long as this share of its place. */
function bar(share) {
  return h("svg", { class: "bar", "aria-hidden": "true" },
    h("rect", { class: "ground", width: "100%", height: "100%" }),
    h("rect", { class: "filled", width: `${Math.max(0, Math.min(1, share)) * 100}%`, height: "100%" }));
}

/** Columns side by side, `{ name, value, beside? }` each; what is beside them is a line in steps. */
function columns(label, bars) {
  const most = Math.max(...bars.flatMap(({ value, beside }) => [value, beside ?? 0]), Number.MIN_VALUE);
  const top = (value) => 100 - (value / most) * 95;
  const steps = bars.map(({ beside }, place) => `${place ? "L" : "M"}${place} ${top(beside)}H${place + 1}`).join("");
  return h("figure", null,
    h("svg", { class: "columns", viewBox: `0 0 ${bars.length} 100`, preserveAspectRatio: "none", role: "img", "aria-label": label },
      bars.map(({ name, value }, place) => h("rect", { class: "filled", x: place + 0.08, y: top(value), width: 0.84, height: 100 - top(value) },
        h("title", null, `${name}: ${value}`))),
      bars[0]?.beside !== undefined && h("path", { class: "beside", d: steps })),
    h("div", { class: "scale", "aria-hidden": "true" },
      [...new Set([0, Math.floor(bars.length / 2), bars.length - 1])].map((place) => h("span", null, bars[place].name))));
}

/** Shows the first items, and the others once they are asked for. */
function first(count, items, draw, what) {
  const place = h("div");
  const shown = (all) => {
    const more = h("button", { type: "button", onclick: () => { shown(true); place.querySelector("[tabindex]")?.focus(); } },
      `Show all ${counted(items.length, what)}`);
    place.replaceChildren(draw(all ? items : items.slice(0, count)), !all && items.length > count ? more : "");
  };
  shown(false);
  return place;
}

// What was paid.

function costTable({ by, origin, unit, groups }, showsOrigin) {
  const title = `Cost by ${by}${showsOrigin ? ` at ${origin}` : ""}`;
  const id = `cost-${by}-${showsOrigin ? origin : ""}`;
  const amount = (group) => Number(group.cost);
  const heading = (group) => group.name || h("em", null, `no ${by}`);
  const sorted = by === "day" ? groups : [...groups].sort((one, other) => amount(other) - amount(one));
  const most = Math.max(...groups.map(amount), Number.MIN_VALUE);
  const hasUnpriced = groups.some(({ unpriced }) => unpriced);
  const whole = (some) => table(title, [by, "", "USD", `${unit}s`, ...(hasUnpriced ? ["without a cost"] : [])], some.map((group) => [
    heading(group), bar(amount(group) / most), group.cost,
    number(group.count), ...(hasUnpriced ? [group.unpriced ? number(group.unpriced) : ""] : []),
  ]));
  const isLong = by === "day" && groups.length > 2;
  return card(id, title,
    isLong && columns(`${title}, ${groups[0].name} to ${groups.at(-1).name}`, days(groups).map(({ name, cost }) => ({ name, value: Number(cost) }))),
    isLong ? h("details", null, h("summary", null, "The figures"), whole(groups)) : first(8, sorted, whole, by));
}

/** The days with those between them on which nothing was paid, while these are not too many. */
function days(groups) {
  const day = 86_400_000;
  const [start, end] = [groups[0], groups.at(-1)].map(({ name }) => Date.parse(name));
  if (!(end - start < 800 * day)) return groups;
  const known = new Map(groups.map((group) => [group.name, group]));
  return Array.from({ length: Math.round((end - start) / day) + 1 }, (_, place) => {
    const name = new Date(start + place * day).toISOString().slice(0, 10);
    return known.get(name) ?? { name, cost: "0" };
  });
}

function costs(tables) {
  const filled = tables.filter(({ by, groups }) => groups.some(({ name }) => name) || (by === "template" && groups.length));
  const showsOrigin = new Set(tables.map(({ origin }) => origin)).size > 1;
  return h("div", { class: "cards" }, filled.map((table) => costTable(table, showsOrigin)));
}

// How long tasks took.

function durations({ width, seen, learnt, templates }) {
  const name = (place) => (place === seen.length - 1 ? `over ${seconds(place * width)}` : `${seconds(place * width)} to ${seconds((place + 1) * width)}`);
  const bars = seen.map((value, place) => ({ name: name(place), value, ...(learnt && { beside: learnt[place] }) }));
  const tasks = templates.reduce((sum, { tasks }) => sum + tasks, 0);
  const usual = (it) => (it ? `${seconds(it.half)}, ${seconds(it.most)}` : "—");
  return card("durations", "How long tasks took",
    h("p", null, `${counted(tasks, "task")}, from the task's id to the look that saw its end. `,
      learnt ? "The line is what the pace had learnt of these templates before, for as many tasks." : "The pace had learnt nothing of this gateway's tasks before."),
    columns("How many tasks took how long", bars),
    h("details", null, h("summary", null, "The figures"),
      table("Durations in bars", learnt ? ["time", "tasks", "expected"] : ["time", "tasks"],
        bars.filter(({ value, beside }) => value || beside).map(({ name, value, beside }) => [name, number(value), ...(learnt ? [beside.toFixed(1)] : [])]))),
    table("Durations by template: half of the tasks, and nine tenths, ended within", ["template", "tasks", "half, nine tenths", "learnt before", "from"],
      templates.map((it) => [it.template, number(it.tasks), usual(it.seen), usual(it.learnt), it.earlier ? counted(it.earlier, "task") : "—"])));
}

// What became of a batch.

// In the order of the list: what needs a person first.
const STATUSES = {
  doubtful: "The task may exist and may be billed. Find out, then tell the journal: effects resolve ROW --task ID, or --not-billed.",
  failed: "The same line does not pay for it again. --retry-failed N pays for a new task where the code is 3009095 to 3009099; effects reorder ROW buys one row once more.",
  not_downloaded: "It is made and paid for. The same line again fetches it, which costs nothing.",
  invalid: "Nothing was sent. Correct the row in the manifest, and run the same line again.",
  refused: "No task was made and nothing is billed. The same line again submits it.",
  not_submitted: "Nothing was sent for it by this run. The same line again submits it.",
  running: "Its task goes on. The same line again waits for it, and pays nothing twice.",
  skipped: "An earlier row asks for the same picture, and --skip-duplicates leaves equal rows out.",
  completed: null,
};
const ORDER = Object.keys(STATUSES);
// In a replay nothing is paid, and no task is left to find out about.
const REPLAYED = {
  doubtful: "Its answer was lost when it was recorded. This is a replay, in which nothing is billed.",
  failed: "Its task failed when it was recorded.",
  not_downloaded: "Its picture is not saved. The same line again replays it.",
  running: "The recording ends before its task does. No task goes on, and nothing is paid.",
};

function readRows() {
  const [names, texts, pictures] = [data("columns"), data("texts"), data("pictures")];
  const isText = new Set(["status", "how", "template", "size", "tag", "error", "code", "message", "warning", "params"]);
  const list = data("rows").map((cells, place) => {
    const row = { picture: pictures[place] };
    names.forEach((name, at) => {
      const cell = cells[at] ?? null;
      row[name] = cell !== null && isText.has(name) ? texts[cell] : cell;
    });
    return row;
  });
  const rank = (row) => ORDER.indexOf(row.status);
  return list.sort((one, other) => rank(one) - rank(other));
}

function totals({ batch, budget, paid, scope, is_replay: isReplay }) {
  const item = (name, value, ...more) => h("div", null, h("dt", null, name), h("dd", null, value, ...more));
  const counts = ORDER.filter((status) => status !== "completed" && batch[status]);
  return card("totals", "In all", h("dl", { class: "totals" },
    item("Rows", number(batch.rows)),
    item("Have their picture", number(batch.completed), batch.kept ? h("small", null, ` ${number(batch.kept)} had it before`) : ""),
    counts.map((status) => item(words(status), h("span", { class: `state ${status}` }, number(batch[status])))),
    item(isReplay ? "Cost of this run in the recording" : "Spent by this run", usd(batch.spent)),
    item(isReplay ? "Cost of these rows in the recording, all runs" : "Paid for these rows, all runs", usd(batch.cost), batch.unpriced ? h("small", null, ` ${counted(batch.unpriced, "cost")} could not be read`) : ""),
    budget !== null && item(`Budget${scope === null ? "" : " of all runs of this order"}`, usd(budget), h("small", null, `${paid} of it ${isReplay ? "used" : "paid"}`), bar(Number(paid) / Number(budget)))),
  batch.error && h("p", { class: "failure" }, batch.error),
  batch.resume && h("p", null, `To go on, run the same line again${isReplay ? "" : "; nothing is paid twice"}: `, h("code", null, batch.resume)));
}

/** Rows without a picture, by what keeps them from it. */
function failures(rows, show) {
  const groups = new Map();
  for (const row of rows) {
    if (row.status === "completed") continue;
    const key = JSON.stringify([row.status, row.code ?? row.error]);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(row);
  }
  if (!groups.size) return card("failures", "Rows without a picture", h("p", null, "None: every row has its picture."));
  return card("failures", "Rows without a picture", h("ul", { class: "failures" }, [...groups].map(([key, some]) => {
    const [status, what] = JSON.parse(key);
    const { message, code, error } = some[0];
    const why = code ?? (error && words(error));
    const name = `${counted(some.length, "row")} ${words(status)}`;
    return h("li", null,
      h("h3", null, h("span", { class: `state ${status}` }, name), why && ` · ${why}`),
      message && h("p", { class: "text" }, some.length > 1 && `line ${some[0].line ?? "?"}: `, message),
      h("p", { class: "quiet" }, (summary.is_replay ? REPLAYED[status] : null) ?? STATUSES[status]),
      h("button", { type: "button", onclick: () => show(status, what ?? "") }, `Show ${some.length === 1 ? "it" : "them"}`,
        h("span", { class: "hidden" }, ` (${name}${why ? `, ${why}` : ""})`)));
  })));
}

const href = (link) => `./${link.split("/").map(encodeURIComponent).join("/")}`;

function picture(row) {
  if (!row.links) return h("span", { class: "blank", "aria-hidden": "true" }, "no picture");
  const source = row.picture ? `data:image/jpeg;base64,${row.picture}` : href(row.links[0]);
  const image = h("img", { src: source, alt: "", loading: "lazy", decoding: "async", width: 96, height: 96,
    // The page was moved away from its pictures.
    onerror: () => image.replaceWith(h("span", { class: "blank" }, "not beside this page")) });
  return h("a", { href: href(row.links[0]), tabindex: "-1", "aria-hidden": "true" }, image);
}

function rowItem(row) {
  const place = row.line === null ? `row ${row.row}` : `line ${row.line}`;
  const fact = (name, value) => value !== null && h("div", null, h("dt", null, name), h("dd", { class: "text" }, value));
  return h("li", { class: "row" }, picture(row),
    h("div", null,
      h("h3", null, place, " · ", h("span", { class: `state ${row.status}` }, words(row.status)), row.how && ` · ${row.how}`,
        row.code ? ` · ${row.code}` : row.error && ` · ${words(row.error)}`),
      row.message && h("p", { class: "text failure" }, row.message),
      row.warning && h("p", { class: "text" }, row.warning),
      h("dl", { class: "facts" },
        fact("photo", row.image),
        fact("template", row.template && row.size ? `${row.template}, ${row.size}` : row.template),
        fact("parameters", row.params), fact("key", row.key), fact("tag", row.tag),
        fact("cost", row.cost && usd(row.cost)),
        fact("equal to", row.duplicate_of && `line ${row.duplicate_of}`),
        fact("task", row.task_id && h("a", { href: `#task=${encodeURIComponent(row.task_id)}` }, h("code", null, row.task_id))),
        fact("journal", row.row && `row ${row.row}`),
        row.links && fact(row.links.length > 1 ? "files" : "file", row.links.map((link) => [h("a", { href: href(link) }, link), " "]).flat()))));
}

/** The list of rows: failures first, a page at a time, since there may be very many. */
function list(rows) {
  const state = { status: "", text: "", start: 0, found: rows };
  const haystack = (row) => (row.text ??= [row.line, row.key, row.image, row.tag, row.template, row.params, row.task_id, row.error, row.code, row.message, row.links]
    .filter((it) => it !== null).join("\n").toLowerCase());
  const present = ORDER.filter((status) => rows.some((row) => row.status === status));
  const status = h("select", { onchange: () => { state.status = status.value; find(); } },
    h("option", { value: "" }, "all"), present.map((name) => h("option", { value: name }, words(name))));
  const text = h("input", { type: "search", autocomplete: "off", placeholder: "a task's id, key, tag, code, file…",
    oninput: () => { state.text = text.value; find(); } });
  const items = h("ol", { class: "rows" });
  const count = h("p", { class: "count", role: "status" });
  const turn = (name, step) => h("button", { type: "button", onclick: () => { state.start += step; draw(); section.scrollIntoView(); } }, name);
  const [back, on] = [turn("Previous rows", -PAGE), turn("Next rows", PAGE)];

  function find() {
    const wanted = state.text.trim().toLowerCase();
    state.found = rows.filter((row) => (!state.status || row.status === state.status) && (!wanted || haystack(row).includes(wanted)));
    state.start = 0;
    draw();
  }
  function draw() {
    const { start, found } = state;
    items.replaceChildren(...found.slice(start, start + PAGE).map(rowItem));
    items.start = start + 1;
    count.textContent = found.length ? `${number(start + 1)} to ${number(Math.min(start + PAGE, found.length))} of ${counted(found.length, "row")}` : "No row is like this.";
    back.disabled = start === 0;
    on.disabled = start + PAGE >= found.length;
  }
  function show(wanted, words) {
    [state.status, state.text] = [wanted, words];
    [status.value, text.value] = [wanted, words];
    find();
    section.scrollIntoView();
    heading.focus({ preventScroll: true });
  }
  /** A link to a task shows its row. */
  function follow() {
    const task = /^#task=(.+)$/.exec(location.hash)?.[1];
    if (task) show("", decodeURIComponent(task));
  }
  const section = card("rows-title", "Rows",
    h("div", { class: "filters" }, h("label", null, "Status", status), h("label", { class: "grow" }, "Find", text)),
    count, items, h("div", { class: "pager" }, back, on));
  const heading = section.querySelector("h2");
  heading.tabIndex = -1;
  addEventListener("hashchange", follow);
  draw();
  return { section, show, follow };
}
const PAGE = 50;

// The page.

const summary = data("summary");
const isBatch = summary.batch !== undefined;
document.getElementById("title").textContent = isBatch ? "Report of a batch" : "What tasks cost";
const tables = data("costs");
const origins = [...new Set(tables.map(({ origin }) => origin))];
document.getElementById("about").textContent = [
  ...origins, summary.is_replay && "a replay, which pays nothing", summary.scope && `order ${summary.scope}`, `made ${data("made").slice(0, 16).replace("T", " ")} UTC`,
].filter(Boolean).join(" · ");
if (isBatch) {
  const rows = readRows();
  const { section, show, follow } = list(rows);
  main.append(totals(summary), failures(rows, show), costs(tables));
  const times = data("durations");
  if (times) main.append(durations(times));
  else if (!summary.has_journal) main.append(card("durations", "How long tasks took", h("p", null, "Without a journal it is not known when tasks were submitted.")));
  main.append(section);
  follow();
} else {
  main.append(tables.length ? costs(tables) : h("p", { class: "card" }, "The journal has no task: none was submitted yet, or effects journal prune has forgotten all."));
}
