// The pages of `--report` and `effects cost --html` in a real browser. `report_page.rs` writes them and runs
// this with their paths in the environment; Chromium and the packages are found through it too.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";

const require = createRequire(path.join(process.env.PAGE_TESTS_MODULES, "here.js"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const { REPORT, COSTS, PAGE_TESTS_SHOTS: SHOTS } = process.env;
const LARGE = path.join(path.dirname(REPORT), "large.html");

let browser;
before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.PAGE_TESTS_CHROMIUM,
    // Without these Chromium asks other hosts for updates and the like.
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", "--disable-quic"],
  });
});
after(() => browser.close());

/** Opens a page from its file, and checks at the end that it had no errors and asked for no other file than
 * pictures beside it. */
async function withPage(file, options, use, expected = /^$/) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const problems = [];
  page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
  page.on("console", (message) => { if (["error", "warning"].includes(message.type()) && !expected.test(message.text())) problems.push(message.text()); });
  page.on("dialog", (dialog) => { problems.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => {
    const url = new URL(request.url());
    const isOwn = url.protocol === "data:" || (url.protocol === "file:" && /\.(html|png)$/.test(url.pathname));
    if (!isOwn) problems.push(`foreign: ${url}`);
  });
  try {
    await page.goto(pathToFileURL(file).href);
    await use(page);
    assert.deepEqual(problems, []);
  } finally {
    await context.close();
  }
}

test("what needs a person comes first, and is a key away", async () => {
  await withPage(REPORT, {}, async (page) => {
    const states = await page.locator(".row .state").allTextContents();
    assert.deepEqual(states, ["doubtful", "failed", "invalid", "invalid", "invalid", "refused", "completed", "completed", "completed", "completed"]);
    const failures = page.getByRole("region", { name: "Rows without a picture" });
    await failures.getByText("effects resolve ROW --task ID").waitFor();
    await failures.getByRole("button", { name: /Show it.*1 row failed/ }).focus();
    await page.keyboard.press("Enter");
    await page.getByText("1 to 1 of 1 row", { exact: true }).waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Rows");
    await page.getByLabel("Status").selectOption("all");
    await page.getByLabel("Find").fill("key 4");
    await page.getByText("1 to 1 of 1 row", { exact: true }).waitFor();
    await page.getByLabel("Find").fill("nothing is like this");
    await page.getByText("No row is like this.").waitFor();
  });
});

test("texts of others are texts, and pictures and files are linked", async () => {
  await withPage(REPORT, {}, async (page) => {
    await page.getByLabel("Find").fill("onerror");
    await page.getByText("1 to 2 of 2 rows").waitFor();
    assert.equal(await page.locator("img[src='x'], main script").count(), 0);
    const row = page.locator(".row", { hasText: "completed" });
    const link = await row.getByRole("link", { name: /^out\// }).getAttribute("href");
    const sides = await row.locator("img").evaluate((image) => image.decode().then(() => image.naturalWidth));
    assert.ok(sides > 0 && link.startsWith("./out/"), link);
    const [opened] = await Promise.all([page.waitForRequest(/\/out\//), page.goto(new URL(link, page.url()).href)]);
    assert.match(opened.url(), /\.png$/);
  });
});

test("the page of a replay says that nothing is paid", async () => {
  const replayed = path.join(path.dirname(REPORT), "replayed.html");
  const whole = readFileSync(REPORT, "utf8");
  assert.ok(whole.includes('"is_replay":false'));
  writeFileSync(replayed, whole.replace('"is_replay":false', '"is_replay":true'));
  const money = (page) => page.getByText(/ by this run|Paid for these rows|paid twice|may be billed\. Find out/).count();
  await withPage(REPORT, {}, async (page) => assert.equal(await money(page), 4));
  await withPage(replayed, {}, async (page) => {
    await page.getByText("a replay, which pays nothing").waitFor();
    await page.getByText("Cost of this run in the recording").waitFor();
    await page.getByText("This is a replay, in which nothing is billed.").waitFor();
    assert.equal(await money(page), 0);
  });
});

test("a link to a task shows its row", async () => {
  await withPage(REPORT, {}, async (page) => {
    const task = await page.locator("a[href^='#task=']").first().getAttribute("href");
    await page.goto(`${pathToFileURL(REPORT).href}${task}`);
    await page.reload();
    await page.getByText("1 to 1 of 1 row", { exact: true }).waitFor();
  });
});

test("the page runs no script and no style but its own", async () => {
  await withPage(REPORT, {}, async (page) => {
    const ran = await page.evaluate(() => new Promise((done) => {
      addEventListener("securitypolicyviolation", () => done("refused"));
      const script = document.createElement("script");
      script.textContent = "globalThis.ran = true";
      document.body.append(script);
      setTimeout(() => done(globalThis.ran ? "ran" : "refused"), 200);
    }));
    assert.equal(ran, "refused");
    // Chromium says what it refused.
  }, /Content Security Policy/);
});

/** The report with a hundred thousand rows in the place of its own. */
function enlarge() {
  const whole = readFileSync(REPORT, "utf8");
  const [start, rest] = whole.split('id="rows">');
  const end = rest.indexOf("</script>");
  const rows = JSON.parse(rest.slice(0, end));
  const many = Array.from({ length: 100_000 }, (_, place) => {
    const row = [...rows[place % rows.length]];
    // As `columns` has it: the line and the key.
    row[0] = place + 2;
    row[5] = `order ${place}`;
    return row;
  });
  const text = JSON.stringify(many).replace(/[<>&]/g, (letter) => `\\u00${letter.charCodeAt(0).toString(16)}`);
  writeFileSync(LARGE, `${start}id="rows">${text}${rest.slice(end)}`);
}

test("a hundred thousand rows are shown a page at a time", async () => {
  enlarge();
  const begun = performance.now();
  await withPage(LARGE, {}, async (page) => {
    await page.getByText("1 to 50 of 100,000 rows").waitFor();
    const opened = performance.now() - begun;
    assert.equal(await page.locator(".row").count(), 50);
    await page.getByLabel("Find").fill("order 99999");
    await page.getByText("1 to 1 of 1 row", { exact: true }).waitFor();
    const found = performance.now() - begun - opened;
    await page.getByLabel("Find").fill("");
    await page.getByRole("button", { name: "Next rows" }).click();
    await page.getByText("51 to 100 of 100,000 rows").waitFor();
    // Figures for people: how long it takes depends on the machine.
    console.log(`a hundred thousand rows: ${Math.round(opened)} ms to open, ${Math.round(found)} ms to find one`);
  });
});

for (const colorScheme of ["light", "dark"]) {
  for (const width of [1280, 360]) {
    test(`nothing serious is found by axe, and nothing is cut: ${width} px, ${colorScheme}`, async () => {
      for (const [name, file] of Object.entries({ report: REPORT, costs: COSTS })) {
        await withPage(file, { colorScheme, reducedMotion: "reduce", viewport: { width, height: 800 } }, async (page) => {
          await page.locator(".card").first().waitFor();
          if (SHOTS) await page.screenshot({ path: path.join(SHOTS, `${name}-${width}-${colorScheme}.png`), fullPage: true });
          const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          assert.ok(over <= 0, `${name}: ${over} px too wide`);
          // The page's policy lets in no script of another; the test's own goes past it.
          await page.evaluate(axe);
          const found = await page.evaluate(() => globalThis.axe.run());
          const serious = found.violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
          const told = serious.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`);
          assert.deepEqual(told, [], name);
        });
      }
    });
  }
}
