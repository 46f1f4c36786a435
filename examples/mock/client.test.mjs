// A client in JavaScript against the emulator: `node --test examples/mock/client.test.mjs`.
// `makePicture` stands for the client that you write; the rest is how to test it.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { startEmulator } from "./emulator.mjs";

/** Submits a photo and waits for its picture. A create is never sent twice: it may have been paid. */
async function makePicture({ baseUrl, apiKey }, template, photo) {
  const headers = { Authorization: `Bearer ${apiKey}`, "Content-Type": "application/json" };
  const params = { image_input1: photo, template_id: template };
  const body = JSON.stringify({ model: "spark_img_effects", input: [{ params }] });
  const created = await fetch(`${baseUrl}/model/v1/generation`, { method: "POST", headers, body });
  if (!created.ok) throw new Error(`not accepted: HTTP ${created.status}`);
  const { id } = await created.json();
  for (;;) {
    const look = await fetch(`${baseUrl}/model/v1/generation/task/${id}`, { headers });
    // Looking costs nothing, so a look may be tried again.
    const task = look.ok ? await look.json() : { status: "in_progress" };
    if (task.status === "completed") return task.output[0].content[0].url;
    if (task.status === "failed") throw new Error(`${task.error.code}: ${task.error.error_message}`);
    await new Promise((resolve) => { setTimeout(resolve, 10); });
  }
}

const PHOTO = "https://example.com/cat.jpg";
let emulator;
before(async () => { emulator = await startEmulator(); });
beforeEach(() => emulator.reset());
after(() => emulator.stop());

test("a photo becomes a picture, and is paid for once", async () => {
  const url = await makePicture(emulator, "glass_ball", PHOTO);
  const picture = await fetch(url);
  assert.equal(picture.headers.get("content-type"), "image/png");
  const paid = await emulator.verify({ endpoint: "create", status: 200 }, { count: 1 });
  assert.ok(paid.verified, paid.message);
});

test("looks that fail are outlasted", async () => {
  await emulator.next("task", [{ kind: "status", status: 503 }, { kind: "stale" }]);
  await makePicture(emulator, "glass_ball", PHOTO);
  const looks = await emulator.verify({ endpoint: "task" }, { count: 3 });
  assert.ok(looks.verified, looks.message);
});

test("a failed task is an error with the service's code", async () => {
  await emulator.next("create", [{ kind: "fail", code: "3009095" }]);
  await assert.rejects(makePicture(emulator, "glass_ball", PHOTO), /3009095/);
});

test("a create whose answer is lost is not sent again", async () => {
  await emulator.next("create", [{ kind: "reset", when: "after" }]);
  await assert.rejects(makePicture(emulator, "glass_ball", PHOTO));
  const { accepted, creates_seen: seen } = await emulator.counts();
  assert.deepEqual({ accepted, seen }, { accepted: 1, seen: 1 });
});
