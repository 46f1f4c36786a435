// The emulator for a test in JavaScript: started, scripted, asked, stopped. Copy this file.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** Starts an emulator on a free port; `EFFECTS` is the command's path, unless it is on the `PATH`. */
export async function startEmulator(...options) {
  const command = process.env.EFFECTS ?? "effects";
  const child = spawn(command, ["emulator", "--json", "--pictures", "stub", ...options],
    { stdio: ["ignore", "pipe", "inherit"] });
  const started = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${command} emulator ended with ${code}`)));
    createInterface({ input: child.stdout }).once("line", (line) => resolve(JSON.parse(line)));
  });
  const headers = { Authorization: `Bearer ${started.api_key}`, "Content-Type": "application/json" };

  /** A request of the control API. */
  async function control(method, path, body) {
    const init = { method, headers, body: body && JSON.stringify(body) };
    const answer = await fetch(`${started.base_url}/_emulator/${path}`, init);
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: HTTP ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  return {
    baseUrl: started.base_url,
    apiKey: started.api_key,
    /** What the next requests of an endpoint meet: `next("create", [{ kind: "reset" }, null])`. */
    next: (on, faults) => control("POST", "next", { on, faults }),
    /** Counts requests: `verify({ endpoint: "create" }, { count: 1 })`. */
    verify: (match, wanted) => control("POST", "verify", { match, ...wanted }),
    counts: () => control("GET", "counts"),
    advance: (seconds) => control("POST", "clock/advance", { seconds }),
    reset: () => control("POST", "reset", {}),
    stop() {
      child.removeAllListeners("exit");
      const ended = new Promise((resolve) => { child.once("exit", resolve); });
      child.kill();
      return ended;
    },
  };
}
