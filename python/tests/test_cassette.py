"""A cassette: exchanges recorded in a file, and replayed without a key and a network."""

import asyncio
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import PHOTO, ROOT, URL
from test_processes import in_a_fork

from spark_effects import AsyncClient, Client, Emulator, InvalidRequest, Job, TransportError

# What every client of this library replays in its tests.
SHARED = ROOT / "tests" / "cassettes" / "one-run.json"
SIGNED = f"{URL}?X-Amz-Signature=hunter2"


def picture():
    """The picture beside the shared cassette."""
    (file,) = SHARED.with_suffix(".files").iterdir()
    return file.read_bytes()


def test_the_cassette_of_all_clients_is_replayed_blocking_and_async():
    made = Client(cassette=SHARED).run("glass_ball", PHOTO, width=512, height=512)
    assert made.bytes() == picture()

    async def awaited():
        async with AsyncClient(cassette=SHARED) as client:
            return await client.run("glass_ball", PHOTO, width=512, height=512)

    same = asyncio.run(awaited())
    assert same.task_id == made.task_id
    assert same.usage.cost == made.usage.cost
    assert same.bytes() == picture()


@pytest.mark.parametrize("awaits", [False, True])
def test_what_was_not_recorded_is_an_error_that_shows_the_difference(awaits):
    client = (AsyncClient if awaits else Client)(cassette=SHARED)

    def run():
        made = client.run("glass_ball", PHOTO, width=1024, height=512)
        return asyncio.run(made) if awaits else made

    with pytest.raises(TransportError) as raised:
        run()
    for words in (
        "no such exchange",
        "width is 1024, and 512 in the cassette",
        "one-run.json",
        "nothing is owed",
    ):
        assert words in str(raised.value)
    assert (raised.value.kind, raised.value.resume_line) == ("not_recorded", None)


@pytest.mark.parametrize("awaits", [False, True])
def test_a_run_is_recorded_and_replayed_when_the_gateway_is_gone(tmp_path, awaits):
    cassette = tmp_path / "run.json"

    def run(client):
        made = client.run("glass_ball", SIGNED)
        return (asyncio.run(made) if awaits else made).bytes()

    with Emulator(pictures="stub") as emulator:
        made = emulator.async_client if awaits else emulator.client
        recorded, key = run(made(poll=0.01, cassette=cassette)), emulator.api_key
    text = cassette.read_text()
    assert len(json.loads(text)["exchanges"]) >= 3
    assert key not in text
    assert "hunter2" not in text
    assert run((AsyncClient if awaits else Client)(cassette=str(cassette))) == recorded
    assert cassette.read_text() == text


def test_the_environment_names_a_cassette_for_all_clients_of_a_process(tmp_path):
    cassette = tmp_path / "run.json"
    script = """
import spark_effects
for template in ("glass_ball", "my_world"):
    print(spark_effects.Client(poll=0.01).run(template, "https://example.com/cat.jpg").task_id)
"""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("EFFECTS_")}

    def run(**environment):
        environment = {**bare, "EFFECTS_CASSETTE": str(cassette), **environment}
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    with Emulator(pictures="stub") as emulator:
        recorded = run(EFFECTS_BASE_URL=emulator.base_url, EFFECTS_API_KEY=emulator.api_key)
        assert emulator.api_key not in cassette.read_text()
    assert len(recorded.split()) == 2
    assert run() == recorded


def test_many_are_replayed_each_with_its_own_task(tmp_path):
    cassette = tmp_path / "run.json"
    jobs = [("glass_ball", f"{URL}?{number}") for number in range(10)]

    def run(client):
        results = client.map(jobs).all()
        return [(result.effect.task_id, result.effect.bytes()) for result in results]

    with Emulator(pictures="stub") as emulator:
        recorded = run(emulator.client(poll=0.01, cassette=cassette))
    assert run(Client(cassette=cassette)) == recorded
    shutil.rmtree(tmp_path / "run.files")
    failed = Client(cassette=cassette).map(jobs).all()
    assert all("only the hash" in str(result.error) for result in failed)


def test_what_is_no_cassette_is_refused(tmp_path):
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}")
    with pytest.raises(InvalidRequest, match="it is no cassette: name another file"):
        Client(cassette=wrong)
    with pytest.raises(InvalidRequest, match="folder does not exist"):
        Client(api_key="key-of-the-tests", cassette=tmp_path / "nowhere" / "run.json")
    with pytest.raises(TypeError, match=r"^cassette is 5: give a path"):
        Client(cassette=5)


@pytest.mark.parametrize("awaits", [False, True])
def test_a_recording_that_ends_before_the_run_ends_it_at_once(tmp_path, awaits):
    cassette, journal = tmp_path / "run.json", tmp_path / "journal.db"
    with Emulator(pictures="stub") as emulator:
        emulator.client(poll=0.01, cassette=cassette).submit("glass_ball", URL)
    client = (AsyncClient if awaits else Client)(cassette=cassette, journal=journal)

    def done(method, *arguments):
        async def main():
            return await method(*arguments)

        return asyncio.run(main()) if awaits else method(*arguments)

    begun = time.monotonic()
    with pytest.raises(TransportError) as raised:
        done(client.run, "glass_ball", URL)
    task = raised.value.task_id
    for failed in (raised.value, pickle.loads(pickle.dumps(raised.value))):
        assert (failed.kind, failed.resume_line, failed.task_id) == ("not_recorded", None, task)
        assert "nothing was sent and nothing is owed" in str(failed)
        assert "resume with" not in str(failed)
    with pytest.raises(TransportError, match="ends here"):
        done(client.task(task).status)
    with pytest.raises(TransportError, match="ends here"):
        done(client.task(task).wait)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("awaits", [False, True])
def test_a_request_that_holds_the_key_is_neither_kept_nor_sent(tmp_path, awaits):
    with Emulator(pictures="stub") as emulator:
        make = emulator.async_client if awaits else emulator.client
        client = make(cassette=tmp_path / "run.json", journal=tmp_path / "journal.db")
        key = emulator.api_key

        def done(method, *arguments, **options):
            async def main():
                return await method(*arguments, **options)

            return asyncio.run(main()) if awaits else method(*arguments, **options)

        async def many(jobs):
            return await client.map(jobs).all()

        for photo, extra, place in [
            (URL, {"token": key}, 'parameter "token"'),
            (PHOTO, {"deep": {"er": [f"is {key}"]}}, 'parameter "deep"'),
            (f"https://example.com/{key}/cat.jpg", None, "the URL of the photo"),
        ]:
            for method in (client.run, client.submit):
                with pytest.raises(InvalidRequest, match=f"{place} holds the API key") as raised:
                    done(method, "glass_ball", photo, extra=extra)
                assert key not in str(raised.value)
            jobs = [Job("glass_ball", photo, extra=extra)]
            (result,) = asyncio.run(many(jobs)) if awaits else client.map(jobs).all()
            assert isinstance(result.error, InvalidRequest)
            assert key not in str(result.error)
        assert emulator.requests == []
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or key.encode() not in file.read_bytes(), file


@pytest.mark.parametrize("awaits", [False, True])
def test_a_replay_leaves_the_journal_of_a_profile_alone(tmp_path, monkeypatch, awaits):
    kept, named = tmp_path / "paid.db", tmp_path / "named.db"
    (tmp_path / "profiles.toml").write_text(f'[studio]\njournal = "{kept}"\n')
    monkeypatch.setenv("EFFECTS_CONFIG_DIR", str(tmp_path))

    def run(**options):
        made = (AsyncClient if awaits else Client).from_profile("studio", cassette=SHARED, **options)
        effect = made.run("glass_ball", PHOTO, width=512, height=512)
        return (asyncio.run(effect) if awaits else effect).bytes()

    assert run() == picture()
    assert not kept.exists()
    assert run(journal=named) == picture()
    assert named.exists()


# The child interrupts itself once the replay reads the answer that is held back.
INTERRUPTED = """
import os, signal, sys, threading
from spark_effects import Client, Job

client = Client(cassette=sys.argv[1])

def interrupt():
    held.append(open(sys.argv[2], "wb", buffering=0))
    os.kill(os.getpid(), signal.SIGINT)

held = []
threading.Thread(target=interrupt, daemon=True).start()
try:
    {call}
except KeyboardInterrupt as error:
    print("\\n".join(getattr(error, "__notes__", [])))
else:
    print("not interrupted")
"""
RUN = f"client.run('glass_ball', {URL!r})"
REPLAY = "it is a replay: no task goes on, and nothing is paid"


@pytest.mark.skipif(sys.platform == "win32", reason="it needs a pipe in the file system")
@pytest.mark.parametrize(
    ("held", "call", "words"),
    [
        ("task", RUN, f"stopped watching task {{task}}; {REPLAY}"),
        ("task", "client.task('{task}').wait()", f"stopped watching task {{task}}; {REPLAY}"),
        ("task", f"list(client.map([Job('glass_ball', {URL!r})]))", REPLAY),
        ("task", f"list(client.map([Job('glass_ball', {URL!r})], journal='own.db'))", REPLAY),
        ("generation", RUN, "this is a replay, in which nothing leaves this machine"),
        ("generation", f"list(client.map([Job('glass_ball', {URL!r})]))", REPLAY),
    ],
)
def test_an_interrupted_replay_says_that_no_task_goes_on(tmp_path, held, call, words):
    cassette, pipe = tmp_path / "run.json", tmp_path / "answer"
    with Emulator(pictures="stub") as emulator:
        task = emulator.client(poll=0.01, cassette=cassette).run("glass_ball", URL).task_id
    tape = json.loads(cassette.read_text())
    for exchange in tape["exchanges"]:
        if exchange["request"]["target"].endswith(task if held == "task" else "/generation"):
            exchange["answer"]["body"] = {"sha256": "0" * 64, "bytes": 1, "file": "answer"}
    cassette.write_text(json.dumps(tape))
    os.mkfifo(pipe)
    script = INTERRUPTED.replace("{call}", call.replace("{task}", task))
    # Its end waits for no submission: the answer of a replay names no task that is paid for.
    ended = subprocess.run(
        [sys.executable, "-c", script, str(cassette), str(pipe)],
        capture_output=True,
        text=True,
        timeout=50,
        cwd=tmp_path,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    assert words.replace("{task}", task) in said
    assert ("same journal to go on" in said) == ("journal" in call)
    for wrong in ("not interrupted", "billed if", "may be billed", "resume", "result reached", "logged"):
        assert wrong not in said, said


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_neither_replays_nor_journals_what_its_parent_records(emulator, tmp_path):
    cassette, journal = tmp_path / "run.json", tmp_path / "run.db"
    client = emulator.client(poll=0.005, cassette=cassette, journal=journal)
    recorded = client.run("glass_ball", URL, fetch=False).task_id

    def end(make):
        try:
            return make().run("glass_ball", URL, fetch=False).task_id
        except InvalidRequest as error:
            return str(error)

    def another():
        return Client(cassette=cassette)

    for make in (lambda: client, another):
        assert "another process records it just now" in in_a_fork(lambda make=make: end(make))
    # The parent's recording goes on, also after a child that saw it has ended.
    client.run("my_world", URL, fetch=False)
    assert len(json.loads(cassette.read_text())["exchanges"]) >= 4

    reader, writer = os.pipe()

    def after_the_parent():
        os.write(writer, b"forked")
        until = time.monotonic() + 20
        while "just now" in (found := end(another)) and time.monotonic() < until:
            time.sleep(0.01)
        # A client that recorded has the journal of a gateway where pictures are paid for.
        return found, end(lambda: client)

    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(in_a_fork, after_the_parent)
        os.read(reader, 6)
        client.close()
        replayed, refused = told.result()
    os.close(reader)
    os.close(writer)
    assert replayed == recorded
    assert "make another client" in refused
    assert emulator.counts["accepted"] == 2
