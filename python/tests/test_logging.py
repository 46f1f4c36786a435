"""What runs tell on their way, as records of ``logging``: ids, looks, attempts that are repeated."""

import asyncio
import logging
import subprocess
import sys

import pytest
from conftest import PHOTO, URL

THROTTLED = {"kind": "status", "status": 429}
BUSY = {"kind": "status", "status": 503}


def logged(caplog):
    return [(one.levelname, one.getMessage()) for one in caplog.records if one.name == "spark_effects"]


def called(emulator, awaits, method):
    """Calls a method of a client of either kind; returns what it gives."""
    client = emulator.async_client(poll=0.01) if awaits else emulator.client(poll=0.01)

    async def main():
        return await getattr(client, method)("glass_ball", URL)

    return asyncio.run(main()) if awaits else getattr(client, method)("glass_ball", URL)


@pytest.mark.parametrize("awaits", [False, True])
def test_run_tells_ids_and_retries_at_info_and_looks_at_debug(emulator, caplog, awaits):
    caplog.set_level(logging.DEBUG, logger="spark_effects")
    emulator.script("create", THROTTLED, {"kind": "take", "seconds": 1.5})
    emulator.script("task", BUSY)
    effect = called(emulator, awaits, "run")
    records = logged(caplog)
    assert {level for level, _ in records} == {"INFO", "DEBUG"}
    infos = [text for level, text in records if level == "INFO"]
    assert "submitting again in" in infos[0]
    assert "HTTP 429" in infos[0]
    assert infos[1] == f"task {effect.task_id} submitted"
    assert infos[2].startswith(f"looking at task {effect.task_id} again in")
    assert any(f"task {effect.task_id} in_progress" in text for level, text in records if level == "DEBUG")


@pytest.mark.parametrize("awaits", [False, True])
def test_submit_tells_its_retries_and_the_id(emulator, caplog, awaits):
    caplog.set_level(logging.INFO, logger="spark_effects")
    emulator.script("create", THROTTLED)
    task = called(emulator, awaits, "submit")
    (level, retry), submitted = logged(caplog)
    assert (level, retry.partition(" in ")[0]) == ("INFO", "submitting again")
    assert submitted == ("INFO", f"task {task.id} submitted")


@pytest.mark.parametrize("awaits", [False, True])
def test_of_many_each_is_told(emulator, caplog, awaits):
    caplog.set_level(logging.INFO, logger="spark_effects")
    client = emulator.async_client(poll=0.01) if awaits else emulator.client(poll=0.01)

    async def main():
        return await client.map([("glass_ball", URL)] * 3).all()

    results = asyncio.run(main()) if awaits else client.map([("glass_ball", URL)] * 3).all()
    ids = {f"task {result.effect.task_id} submitted" for result in results}
    assert {text for _, text in logged(caplog)} == ids


def test_events_tell_the_same(emulator):
    emulator.script("create", {"kind": "take", "seconds": 0.1})
    emulator.script("task", BUSY)
    task = emulator.client(poll=0.01).submit("glass_ball", URL)
    events = task.events()
    retry = next(event for event in events if event.kind == "retrying")
    assert retry.task_id == task.id
    assert "HTTP 503" in str(retry)
    assert events.finish().task_id == task.id


def test_a_warning_is_one_record_at_every_level(emulator, caplog, tmp_path):
    photo = tmp_path / "cut.png"
    photo.write_bytes(PHOTO.read_bytes()[:-20])
    for level in (logging.WARNING, logging.INFO, logging.DEBUG):
        caplog.clear()
        caplog.set_level(level, logger="spark_effects")
        emulator.client(uploads="gateway").upload(photo)
        ((level, text),) = [one for one in logged(caplog) if "cut.png" in one[1]]
        assert level == "WARNING"
        assert "may be missing" in text


def test_at_the_usual_level_nothing_is_told(emulator, caplog):
    caplog.set_level(logging.WARNING)
    emulator.script("create", THROTTLED)
    called(emulator, False, "run")
    assert logged(caplog) == []


def test_nothing_is_printed_unless_a_program_asks(emulator):
    emulator.script("create", THROTTLED, {"kind": "take", "seconds": 0.1})
    emulator.script("task", BUSY)
    program = f"""
import sys
from spark_effects import Client
client = Client(base_url={emulator.base_url!r}, api_key={emulator.api_key!r}, poll=0.01)
client.run("glass_ball", {URL!r})
assert "logging" not in sys.modules
import logging
client.run("glass_ball", {URL!r})
logging.basicConfig(level=logging.INFO)
print(client.run("glass_ball", {URL!r}).task_id)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stderr == f"INFO:spark_effects:task {ran.stdout.strip()} submitted\n"
