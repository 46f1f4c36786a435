"""What the gateway's official clients make of fourteen things that happen: a table in Markdown.

    EFFECTS=target/debug/effects target/official-clients/bin/python \
        crates/effects-emulator/tests/official/client_cases.py [--js FOLDER] [--go FOLDER] [--check]

It starts an emulator and runs each client, unchanged, in a process of its own for each case. The clients
in Python are those of requirements.txt. The one in JavaScript is on no registry: --js is the folder of a
checkout of SeaArt-Infra/sea-sdk-js. Those in Go are built by go_clients.sh into the folder of --go. Each
cell says what the client said, and how many creates were accepted.

With --check it runs the first two cases alone, and fails unless each client gets a picture and pays once,
and then says that a template is none.
"""

import argparse
import asyncio
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

MODEL = "spark_img_effects"
PHOTO = "https://example.com/cat.jpg"
# Two clients look every five seconds.
PATIENCE = 24.0
# Characters of what a client said.
LONGEST = 52

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


def command_line_client(program, family, base_url, key, template):
    """vtrix and seacloud: the key is in a file of theirs, the addresses are in the environment."""
    with tempfile.TemporaryDirectory() as home:
        addresses = ["GENERATION", "MODELS", "BASE"]
        environment = {f"{family}_{name}_URL": base_url for name in addresses}
        environment |= {"HOME": home, f"{family}_NO_KEYCHAIN": "1"}
        subprocess.run([program, "auth", "set-key", key], env=environment, check=True, capture_output=True)
        parameters = [f"image_input1={PHOTO}", f"template_id={template}"]
        arguments = [argument for value in parameters for argument in ("--param", value)]
        wait = str(int(PATIENCE / 2))
        command = [program, "run", MODEL, *arguments, "--output", "url", "--timeout", wait]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode == 0:
        return fetched(done.stdout.strip())
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    return f"exit {done.returncode}: {errors[0].removeprefix('Error: ')}"


def vtrix(folder, *rest):
    return command_line_client(f"{folder}/vtrix-cli", "VTRIX", *rest)


def seacloud_cli(folder, *rest):
    return command_line_client(f"{folder}/seacloud-cli", "SEACLOUD", *rest)


def sea_go(folder, base_url, key, template):
    arguments = [base_url, key, template, PHOTO, str(PATIENCE / 2)]
    done = subprocess.run([f"{folder}/sea_sdk_go", *arguments], capture_output=True, text=True, check=True)
    said = done.stdout.strip()
    return fetched(said) if said.startswith("http") else said


IN_THIS_PROGRAM = {
    "seaart": seaart,
    "seacloud": seacloud,
    "vtrix": vtrix,
    "seacloud-cli": seacloud_cli,
    "sea-go": sea_go,
}

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


def own_process(name, *given):
    """The command that runs a client of `IN_THIS_PROGRAM`."""
    return lambda *rest: [sys.executable, __file__, "--client", name, *given, *rest]


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
    if (create or look) and not any(seen["fault"] for seen in emulator.control("GET", "requests")):
        said = f"the fault was not met: {said}"
    paid = emulator.control("GET", "counts")["accepted"]
    return said, paid


def shown(said, paid):
    said = said if len(said) <= LONGEST else said[: LONGEST - 1] + "…"
    return f"{said.replace('|', '/')} ({paid})"


def check(clients, cells):
    """Ends the program unless the first two cases went as they must. Some clients know the templates."""
    for client, picture, (refused, _) in zip(clients, *cells, strict=True):
        named = "Invalid template_id" in refused or 'invalid value for parameter "template_id"' in refused
        if picture != ("picture", 1) or not named:
            sys.exit(f"{client}: {picture}; {refused}")
        print(client, "runs")


def main():
    if sys.argv[1:2] == ["--client"]:
        print(IN_THIS_PROGRAM[sys.argv[2]](*sys.argv[3:]))
        return
    options = argparse.ArgumentParser()
    options.add_argument("--js", metavar="FOLDER")
    options.add_argument("--go", metavar="FOLDER", type=pathlib.Path)
    options.add_argument("--check", action="store_true")
    options = options.parse_args()
    clients = {
        "seaart-sdk 0.1.4": own_process("seaart"),
        "seacloudai-sdk 0.1.3": own_process("seacloud"),
    }
    if options.js:
        clients["sea-sdk-js"] = lambda *rest: javascript(options.js, *rest)
    if options.go:
        go = str(options.go.resolve())
        clients["sea-sdk-go 0.3.2"] = own_process("sea-go", go)
        clients["vtrix-cli 1.0.1"] = own_process("vtrix", go)
        clients["seacloud-cli 0.2.0"] = own_process("seacloud-cli", go)
    emulator = Emulator()
    try:
        if options.check:
            check(clients, [[cell(emulator, run, *case) for run in clients.values()] for case in CASES[:2]])
            return
        print("| case |", " | ".join(clients), "|")
        print("|---" * (len(clients) + 1) + "|")
        for case in CASES:
            cells = [shown(*cell(emulator, run, *case)) for run in clients.values()]
            print("|", case[0], "|", " | ".join(cells), "|", flush=True)
    finally:
        emulator.process.terminate()
        emulator.process.wait()


main()
