// The emulator over HTTP: requests of the control API, and its events. The browser sends the cookie
// that opens it; no key is ever in this page's hands but the one a person types in.

/** An answer that is no 2xx, with the emulator's own words. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** A request of the control API; gives the JSON of its answer. */
export async function control(method, path, body) {
  const init = { method };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json" };
  }
  const answer = await fetch(`/_emulator/${path}`, init);
  const text = await answer.text();
  if (!answer.ok) throw new Refused(answer.status, messageOf(text) ?? answer.statusText);
  return text ? JSON.parse(text) : null;
}

/** The words of a refusal, in whichever of its forms. */
export function messageOf(text) {
  try {
    const body = JSON.parse(text);
    return body.message ?? body.error?.message ?? body.detail ?? body.status?.message ?? null;
  } catch {
    return null;
  }
}

/** Asks for the cookie with the key. */
export async function signIn(key) {
  const headers = { Authorization: `Bearer ${key}` };
  const answer = await fetch("/_emulator/session", { method: "POST", headers });
  if (!answer.ok) throw new Refused(answer.status, messageOf(await answer.text()) ?? "refused");
}

/** What is known of the emulator, kept true by its events. Views subscribe to changes. */
class Store {
  about = null;
  tasks = new Map();
  requests = new Map();
  connected = false;
  #watchers = new Set();

  /** Calls `watcher` with what has changed: `{ anew, tasks, requests }`. Gives a way to stop. */
  watch(watcher) {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  connect() {
    const events = new EventSource("/_emulator/events");
    // Events come while the lists are read, and are taken in after them, in their order.
    let last = Promise.resolve();
    events.onmessage = (message) => {
      const event = JSON.parse(message.data);
      last = last.then(() => this.#take(event)).catch((error) => console.warn(error));
    };
    events.onopen = () => this.#connection(true);
    events.onerror = () => this.#connection(false);
  }

  async #take(event) {
    this.about = event.about;
    if (event.anew) {
      const [tasks, requests] = await Promise.all([
        control("GET", `tasks?limit=${MOST_TASKS}`),
        control("GET", "requests"),
      ]);
      this.tasks = new Map(tasks.reverse().map((task) => [task.id, task]));
      this.requests = new Map(requests.slice(-MOST_REQUESTS).map((seen) => [seen.number, seen]));
    }
    for (const task of event.tasks) this.tasks.set(task.id, task);
    for (const seen of event.requests) this.requests.set(seen.number, seen);
    forgetOldest(this.tasks, MOST_TASKS);
    forgetOldest(this.requests, MOST_REQUESTS);
    this.#tell(event);
  }

  #connection(connected) {
    this.connected = connected;
    this.#tell({ anew: false, tasks: [], requests: [] });
  }

  #tell(event) {
    for (const watcher of this.#watchers) watcher(event);
  }
}

function forgetOldest(map, most) {
  for (const key of map.keys()) {
    if (map.size <= most) return;
    map.delete(key);
  }
}

const MOST_TASKS = 5000;
const MOST_REQUESTS = 2000;

export const store = new Store();
