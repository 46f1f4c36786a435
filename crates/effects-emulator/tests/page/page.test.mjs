// The emulator's page in a real browser. `page.rs` starts the emulators and runs this with their
// addresses in the environment; Chromium and the packages of package.json are found through it too.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import path from "node:path";
import { after, before, test } from "node:test";

const require = createRequire(path.join(process.env.PAGE_TESTS_MODULES, "here.js"));
const { chromium } = require("playwright-core");
const axe = require.resolve("axe-core/axe.min.js");
const { PAINTING, VIRTUAL, CROWDED, OUTER, OUTER_KEY } = process.env;
const SHOTS = process.env.PAGE_TESTS_SHOTS;

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

/** Opens the page, and checks at the end that it had no errors and asked no other host. */
async function withPage(origin, options, use) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const problems = [];
  const expected = [];
  page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
  page.on("console", (message) => {
    const isExpected = expected.some((pattern) => pattern.test(message.text()));
    if (["error", "warning"].includes(message.type()) && !isExpected) problems.push(message.text());
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "blob:" && url.origin !== origin) problems.push(`foreign: ${url}`);
  });
  try {
    await page.goto(`${origin}/`);
    await use(page, expected);
    assert.deepEqual(problems, []);
  } finally {
    await context.close();
  }
}

const view = (page, name) => page.getByRole("navigation").getByRole("link", { name }).click();
const make = (page) => page.getByRole("button", { name: "Make the picture" }).click();

async function shot(page, name) {
  if (SHOTS) await page.screenshot({ path: path.join(SHOTS, `${name}.png`), fullPage: true });
}

test("from the open page to a picture, with the exchange and the programs beside it", async () => {
  await withPage(PAINTING, {}, async (page) => {
    await page.getByText("Glass Ball", { exact: true }).waitFor();
    await page.locator(".preview[src]").waitFor();
    await page.getByText("Felt Keychain", { exact: true }).click();
    await make(page);
    const picture = page.getByRole("img", { name: "The photo as felt_keychain" });
    await picture.waitFor();
    const sides = await picture.evaluate((image) => image.decode().then(() => [image.naturalWidth, image.naturalHeight]));
    assert.deepEqual(sides, [1024, 1024]);
    const lines = await page.locator(".exchange .line code").allTextContents();
    assert.equal(lines.length, 4);
    assert.ok(lines.every((line) => line.startsWith("curl ")), lines);
    assert.match(lines[1], /"template_id":"felt_keychain","width":1024/);
    const programs = await page.locator(".program code").allTextContents();
    assert.ok(programs.every((program) => program.includes("felt_keychain") && program.includes(PAINTING)), programs);
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("link", { name: "Download felt_keychain.png" }).click(),
    ]);
    assert.equal(download.suggestedFilename(), "felt_keychain.png");
    // The looks are painted in the background, of this photo, at twice the size they are shown.
    await page.waitForFunction(() => document.querySelectorAll(".thumb img").length === 30, null, { timeout: 60_000 });
    const thumb = await page.locator(".thumb img").first().evaluate((image) => [image.width > 0, image.naturalWidth]);
    assert.deepEqual(thumb, [true, 192]);
  });
});

test("a photo is dropped or pasted", async () => {
  await withPage(VIRTUAL, {}, async (page) => {
    await page.locator(".preview[src]").waitFor();
    for (const [kind, name] of [["drop", "dropped.jpg"], ["paste", "pasted.jpg"]]) {
      await page.evaluate(async ([kind, name]) => {
        const photo = await (await fetch("/page/photo.jpg")).blob();
        const data = new DataTransfer();
        data.items.add(new File([photo], name, { type: "image/jpeg" }));
        const event = kind === "drop"
          ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
          : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
        document.querySelector(".drop").dispatchEvent(event);
      }, [kind, name]);
      await page.getByText(`client.run("glass_ball", "${name}"`).waitFor();
    }
  });
});

test("a file that is no photo is refused in the emulator's words", async () => {
  await withPage(PAINTING, {}, async (page, expected) => {
    // Of no look there can be a picture.
    expected.push(/400/);
    await page.locator(".preview[src]").waitFor();
    await page.setInputFiles("#photo", { name: "notes.png", mimeType: "image/png", buffer: Buffer.from("no photo") });
    await make(page);
    await page.getByRole("alert").filter({ hasText: "The task failed with 3009096" }).waitFor();
  });
});

test("a fault that is armed is what the next run meets, and it is shown", async () => {
  await withPage(VIRTUAL, {}, async (page, expected) => {
    expected.push(/503/);
    await view(page, "Control");
    await page.getByLabel("Its fields, as JSON").fill('{"status": 503, "message": "out for lunch"}');
    await page.getByRole("button", { name: "Arm it" }).click();
    await page.getByText("next on create:").waitFor();
    await view(page, "Try");
    await make(page);
    await page.getByText("HTTP 503: out for lunch").first().waitFor();
    await view(page, "Control");
    await page.getByText("Nothing is armed.").waitFor();
    const request = page.locator(".request", { hasText: "503" }).first();
    await request.locator("summary").click();
    // What is inside is made once the line has opened.
    await request.getByText("out for lunch").first().waitFor();
    await page.getByLabel("Its fields, as JSON").fill("{");
    await page.getByRole("button", { name: "Arm it" }).click();
    await page.getByRole("alert").filter({ hasText: /JSON/ }).waitFor();
  });
});

test("several outcomes are scripted, listed and forgotten", async () => {
  await withPage(VIRTUAL, {}, async (page) => {
    await view(page, "Control");
    await page.getByText("Script several outcomes").click();
    await page.getByRole("button", { name: "Script them" }).click();
    await page.getByText("reset, nothing amiss, no-url").waitFor();
    await page.getByRole("button", { name: "Forget what is scripted" }).click();
    await page.getByText("Nothing is armed.").waitFor();
    await page.getByLabel("Meets").selectOption("always");
    await page.getByLabel("Its fields, as JSON").fill('{"status": 503}');
    await page.getByRole("button", { name: "Arm it" }).click();
    await page.getByRole("button", { name: "Disarm fault 1" }).click();
    await page.getByText("Nothing is armed.").waitFor();
  });
});

test("a task waits for the virtual clock, and its life is shown as it goes on", async () => {
  await withPage(VIRTUAL, {}, async (page) => {
    await page.locator(".preview[src]").waitFor();
    await make(page);
    await page.getByText(/in progress, 0 %/).waitFor();
    await view(page, "Tasks");
    await page.locator(".gallery a").first().click();
    await page.getByRole("button", { name: "Finish it now" }).waitFor();
    await view(page, "Control");
    await page.getByRole("button", { name: "+ 1 h" }).click();
    // The run went on while other views were shown.
    await view(page, "Try");
    await page.getByRole("img", { name: /The photo as/ }).waitFor();
    await page.locator(".result a").first().click();
    const detail = page.getByRole("region", { name: "One task" });
    await detail.getByText("completed").waitFor();
    await detail.locator(".request", { hasText: "POST" }).first().waitFor();
  });
});

test("the limits are set and all is forgotten on request", async () => {
  await withPage(VIRTUAL, {}, async (page, expected) => {
    expected.push(/402/);
    await page.locator(".preview[src]").waitFor();
    await view(page, "Control");
    await page.getByLabel("Balance, USD").fill("0");
    await page.getByRole("button", { name: "Set the limits" }).click();
    await page.getByText("USD spent of 0").waitFor();
    await view(page, "Try");
    await make(page);
    await page.getByText(/HTTP 402/).first().waitFor();
    // A look that was asked for and whose photo is forgotten meanwhile would be an error.
    await page.waitForFunction(() => document.querySelectorAll(".thumb img").length === 30);
    await view(page, "Control");
    await page.getByRole("button", { name: "Begin anew…" }).click();
    await page.getByRole("button", { name: "Forget everything" }).click();
    await page.getByText("No requests yet.").waitFor();
    await page.getByText("0 tasks · 0 USD spent").waitFor();
  });
});

test("a thousand tasks stand in the gallery, and only pictures in sight are fetched", async () => {
  await withPage(CROWDED, {}, async (page) => {
    await page.getByText("1000 tasks").waitFor();
    // The processor time of the page's thread: what else the machine does changes it little.
    const browserSession = await page.context().newCDPSession(page);
    await browserSession.send("Performance.enable", { timeDomain: "threadTicks" });
    const spent = async (act) => {
      const now = async () => {
        const { metrics } = await browserSession.send("Performance.getMetrics");
        return metrics.find(({ name }) => name === "TaskDuration").value * 1000;
      };
      const before = await now();
      await act();
      return Math.round(await now() - before);
    };
    const opening = await spent(async () => {
      await view(page, "Tasks");
      await page.getByText("1000 of 1000 tasks").waitFor();
      await page.waitForFunction(() => document.querySelector(".gallery img")?.naturalWidth > 0);
    });
    // Pictures that are out of sight are not fetched.
    const fetched = await page.evaluate(
      () => [...document.querySelectorAll(".gallery img")].filter((image) => image.naturalWidth > 0).length,
    );
    assert.ok(fetched > 0 && fetched < 300, `${fetched} of 1000 pictures were fetched`);
    const filtering = await spent(async () => {
      await page.getByLabel("Status").selectOption("failed");
      await page.getByText("0 of 1000 tasks").waitFor();
    });
    // Figures for people: how long it takes depends on the machine.
    console.log(`a thousand tasks: ${opening} ms to open, ${filtering} ms to filter`);
  });
});

test("where other machines reach it, it asks for the key", async () => {
  await withPage(OUTER, {}, async (page, expected) => {
    expected.push(/401/);
    await page.getByRole("heading", { name: "This emulator asks for its key" }).waitFor();
    await page.getByLabel("API key").fill("wrong");
    await page.getByRole("button", { name: "Open" }).click();
    await page.getByRole("alert").filter({ hasText: "API key" }).waitFor();
    await page.getByLabel("API key").fill(OUTER_KEY);
    await page.getByRole("button", { name: "Open" }).click();
    await page.locator(".preview[src]").waitFor();
    assert.ok(!(await page.evaluate(() => document.cookie)), "a script reads the cookie");
  });
});

test("keys alone lead from the photo to the picture", async () => {
  await withPage(VIRTUAL, {}, async (page) => {
    await page.locator(".preview[src]").waitFor();
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
    await page.getByRole("radio", { name: "Glass Ball" }).focus();
    await page.keyboard.press("ArrowRight");
    assert.equal(await page.evaluate(() => document.activeElement.value), "earphone_case_style");
    await page.getByLabel("Height").focus();
    await page.keyboard.press("Enter");
    await page.getByText(/in progress/).waitFor();
  });
});

for (const colorScheme of ["light", "dark"]) {
  for (const width of [1280, 360]) {
    test(`nothing serious is found by axe, and nothing is cut: ${width} px, ${colorScheme}`, async () => {
      await withPage(PAINTING, { colorScheme, reducedMotion: "reduce", viewport: { width, height: 800 } }, async (page) => {
        await page.locator(".preview[src]").waitFor();
        await make(page);
        await page.getByRole("img", { name: /The photo as/ }).waitFor();
        // What shows that a view is there.
        const signs = { Try: ".exchange .line", Tasks: ".gallery a", "One task": ".detail .request", Control: ".request .block" };
        for (const [name, sign] of Object.entries(signs)) {
          if (name === "One task") await page.locator(".gallery a").first().click();
          else await view(page, name);
          if (name === "Control") await page.locator(".request summary").first().click();
          await page.locator(sign).first().waitFor();
          await shot(page, `${name.replace(" ", "-").toLowerCase()}-${width}-${colorScheme}`);
          const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          assert.ok(over <= 0, `${name}: ${over} px too wide`);
          // The page's policy lets in no script of another; the test's own goes past it.
          await page.evaluate(require("node:fs").readFileSync(axe, "utf8"));
          const found = await page.evaluate(() => globalThis.axe.run());
          const serious = found.violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
          const told = serious.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`);
          assert.deepEqual(told, [], name);
        }
      });
    });
  }
}
