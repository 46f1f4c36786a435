// The built site in a browser: nothing is loaded from elsewhere, nothing is wider than a phone, and axe finds no
// serious fault, in the light and in the dark. `.ci/run` starts it; SITE is the site's folder, PAGE_TESTS_MODULES
// where playwright-core and axe-core are, PAGE_TESTS_CHROMIUM the browser, SITE_PICTURES a folder for pictures.
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { extname, join, relative } from "node:path";
import { after, before, test } from "node:test";

const { SITE, PAGE_TESTS_MODULES, PAGE_TESTS_CHROMIUM, SITE_PICTURES } = process.env;
const require = createRequire(join(PAGE_TESTS_MODULES, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const types = { ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".json": "application/json", ".jpg": "image/jpeg" };

const pages = (folder) => readdirSync(folder).flatMap((name) => {
  const path = join(folder, name);
  if (statSync(path).isDirectory()) return relative(SITE, path) === "repository" ? [] : pages(path);
  return name.endsWith(".html") && name !== "404.html" ? [relative(SITE, path)] : [];
});

let server, browser, base;
before(async () => {
  server = createServer((request, response) => {
    const path = join(SITE, decodeURIComponent(new URL(request.url, "http://site").pathname));
    const found = existsSync(path) && statSync(path).isFile();
    response.writeHead(found ? 200 : 404, { "content-type": types[extname(path)] ?? "text/plain" });
    response.end(found ? readFileSync(path) : "");
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  base = `http://127.0.0.1:${server.address().port}/`;
  browser = await chromium.launch({ executablePath: PAGE_TESTS_CHROMIUM, args: ["--no-sandbox"] });
});
after(async () => {
  await browser.close();
  server.close();
});

for (const [width, colorScheme] of [[360, "dark"], [1280, "light"]]) {
  test(`each page at ${width} pixels, ${colorScheme}`, async () => {
    const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
    const wrong = [];
    page.on("request", (request) => {
      if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(base)) wrong.push(`it loads ${request.url()}`);
    });
    page.on("response", (response) => {
      if (response.status() >= 400) wrong.push(`${response.status()} ${response.url()}`);
    });
    page.on("pageerror", (error) => wrong.push(String(error)));
    const all = pages(SITE);
    assert.ok(all.length >= 25, all.join());
    for (const name of all) {
      await page.goto(base + name, { waitUntil: "networkidle" });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (wide > 0) wrong.push(`${name} is ${wide} pixels too wide`);
      await page.evaluate(axe);
      const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
      for (const { id, impact, nodes } of found.violations) {
        if (impact === "serious" || impact === "critical") wrong.push(`${name}: ${id} ${nodes[0].html.slice(0, 100)}`);
      }
      if (SITE_PICTURES) await page.screenshot({ path: join(SITE_PICTURES, `${name.replaceAll("/", "-")}-${width}.png`) });
    }
    assert.deepEqual(wrong, []);
    await page.close();
  });
}
