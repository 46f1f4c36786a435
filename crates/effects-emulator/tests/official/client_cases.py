"""What the gateway's official clients make of fourteen things that happen: a table in Markdown.

    EFFECTS=target/debug/effects target/official-clients/bin/python \
        crates/effects-emulator/tests/official/client_cases.py [FOLDER-OF-SEA-SDK-JS]

It starts an emulator and runs each client, unchanged, in a process of its own for each case. The clients
in Python are those of requirements.txt; the one in JavaScript is on no registry, so a checkout of
SeaArt-Infra/sea-sdk-js is given by its folder. Each cell says what the client said, and how many creates
were accepted.
"""

import asyncio
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

MODEL = "spark_img_effects"
PHOTO = "https://example.com/cat.jpg"
PATIENCE = 12.0

STATUS_503 = {"kind": "status", "status": 503}
RATE_LIMITED = {"kind": "status", "status": 429, "retry_after": {"seconds": 1}}
NO_CREDIT = {"kind": "status", "status": 402, "body": "envelope", "message": "Insufficient credits"}

# The case, the fault of the create, the fault of the first look.
CASES = [
    ("nothing amiss", None, None),
    ("a template that is none", None, None),
    ("the task fails with 3009095", {"kind": "fail", "code": "3009095"}, None),
    ("the create is answered 429", RATE_LIMITED, None),
    ("the create is answered 402", NO_CREDIT, None),
    ("a wrong key", None, None),
    ("the create's answer is lost", {"kind": "reset", "when": "after"}, None),
    ("the create's answer cannot be read", {"kind": "garbage"}, None),
    ("a look is answered 503", None, STATUS_503),
    ("a look is answered 429", None, RATE_LIMITED),
    ("a look's connection is reset", None, {"kind": "reset"}),
    ("a look's answer cannot be read", None, {"kind": "garbage"}),
    ("the task is not found at first", {"kind": "missing", "looks": 1}, None),
    ("the picture's link has expired", {"kind": "expired-link"}, None),
]


def template_of(case):
    return "glas_ball" if case == "a template that is none" else "glass_ball"


def fetched(url):
    """What comes of fetching a picture, which clients leave to their callers."""
    try:
        with urllib.request.urlopen(url) as answer:
            return "picture" if answer.read(4) == b"\x89PNG" else "no picture"
    except urllib.error.HTTPError as error:
        return f"a URL; fetching it: {error.code}"


def seaart(base_url, key, template):
    import seaart_sdk
    from seaart_sdk.modal_types import with_poll_interval, with_poll_timeout

    client = seaart_sdk.Client(seaart_sdk.ClientConfig(api_key=key, base_url=base_url))
    params = {"image_input1": PHOTO, "template_id": template}
    try:
        task = client.modal.create({"model": MODEL, "input": [{"params": params}]})
        task = task.wait(with_poll_interval(0.05), with_poll_timeout(PATIENCE / 2))
        return fetched(task.urls()[0])
    except seaart_sdk.SeaArtError as error:
        return f"error `{error.kind}`: {error.message}"


def seacloud(base_url, key, template):
    import seacloud_sdk
    from seacloud_sdk.core.default_base_urls import DEFAULT_BASE_URLS

    for name in DEFAULT_BASE_URLS:
        DEFAULT_BASE_URLS[name] = base_url
    client = seacloud_sdk.SeaCloud(api_key=key, timeout=int(PATIENCE / 2 * 1000))
    params = {"image_input1": PHOTO, "template_id": template}
    try:
        result = asyncio.run(client.run_sync(MODEL, params))
    except Exception as error:
        return f"error `{type(error).__name__}`: {error}"
    if result["status"] == "failed":
        return f"failed: {result['error']}"
    return fetched(result["output"]["urls"][0])


JAVASCRIPT = """
const [folder, baseURL, apiKey, template, photo, timeout] = process.argv.slice(1);
const { Client, withPollInterval, withPollTimeout } = await import(`${folder}/src/index.js`);
const client = new Client({ apiKey, baseURL });
const params = { image_input1: photo, template_id: template };
try {
  const task = await client.modal.create({ model: "spark_img_effects", input: [{ params }] });
  const done = await task.wait(withPollInterval(50), withPollTimeout(Number(timeout)));
  const url = done.output[0].content[0].url;
  const answer = await fetch(url);
  console.log(answer.ok ? "picture" : `a URL; fetching it: ${answer.status}`);
} catch (error) {
  console.log(`error \\`${error.kind ?? error.name}\\`: ${error.message}`);
}
"""


def javascript(folder, base_url, key, template):
    timeout = str(int(PATIENCE / 2 * 1000))
    arguments = [os.path.abspath(folder), base_url, key, template, PHOTO, timeout]
    return ["node", "--input-type=module", "-e", JAVASCRIPT, *arguments]


def python(name, base_url, key, template):
    return [sys.executable, __file__, "--client", name, base_url, key, template]


class Emulator:
    def __init__(self):
        command = [os.environ.get("EFFECTS", "effects"), "emulator", "--json", "--pictures", "stub"]
        command += ["--dialect", "sdk"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        started = json.loads(self.process.stdout.readline())
        self.base_url, self.key = started["base_url"], started["api_key"]

    def control(self, method, path, body=None):
        request = urllib.request.Request(f"{self.base_url}/_emulator/{path}", method=method)
        request.add_header("Authorization", f"Bearer {self.key}")
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(request, data) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def script(self, endpoints, fault):
        for endpoint in endpoints if fault else ():
            self.control("POST", "next", {"on": endpoint, "faults": [fault]})


def cell(emulator, command_of, case, create, look):
    emulator.control("POST", "reset", {})
    emulator.script(["create", "queue-submit"], create)
    emulator.script(["task", "queue-status"], look)
    key = "wrong-key" if case == "a wrong key" else emulator.key
    command = command_of(emulator.base_url, key, template_of(case))
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        lines = (done.stdout.strip() or done.stderr.strip() or "nothing").splitlines()
        said = lines[0] if done.returncode == 0 else lines[-1]
    except subprocess.TimeoutExpired:
        said = f"no end in {PATIENCE:.0f} s"
    said = said if len(said) <= 90 else said[:89] + "…"
    if (create or look) and not any(seen["fault"] for seen in emulator.control("GET", "requests")):
        said = f"the fault was not met: {said}"
    paid = emulator.control("GET", "counts")["accepted"]
    return f"{said.replace('|', '/')} ({paid})"


def main():
    if sys.argv[1:2] == ["--client"]:
        name, *rest = sys.argv[2:]
        print({"seaart": seaart, "seacloud": seacloud}[name](*rest))
        return
    clients = {
        "seaart-sdk 0.1.4": lambda *rest: python("seaart", *rest),
        "seacloudai-sdk 0.1.3": lambda *rest: python("seacloud", *rest),
    }
    if sys.argv[1:]:
        clients["sea-sdk-js"] = lambda *rest: javascript(sys.argv[1], *rest)
    emulator = Emulator()
    try:
        print("| case |", " | ".join(clients), "|")
        print("|---" * (len(clients) + 1) + "|")
        for case in CASES:
            cells = [cell(emulator, command_of, *case) for command_of in clients.values()]
            print("|", case[0], "|", " | ".join(cells), "|", flush=True)
    finally:
        emulator.process.terminate()
        emulator.process.wait()


main()
