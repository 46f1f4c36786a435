"""Words for a task's status that the service may come up with."""

import asyncio
import logging

import pytest
from conftest import URL

from spark_effects import TaskFailed, WaitTimeout


def words(emulator, word):
    """Lets each look see this word."""
    emulator.script("task", *[{"kind": "word", "status": word}] * 200)


@pytest.mark.parametrize("awaits", [False, True])
def test_run_logs_a_word_that_sounds_final_once_and_its_error_names_it(emulator, caplog, awaits):
    words(emulator, "archived")
    caplog.set_level(logging.WARNING, logger="spark_effects")

    def run():
        client = emulator.async_client(poll=0.01) if awaits else emulator.client(poll=0.01)
        running = client.run("glass_ball", URL, wait_timeout=0.3)
        return asyncio.run(running) if awaits else running

    with pytest.raises(WaitTimeout, match='the service calls it "archived"') as raised:
        run()
    assert raised.value.task_id
    logged = [record.getMessage() for record in caplog.records if "archived" in record.getMessage()]
    assert len(logged) == 1, logged
    assert raised.value.task_id in logged[0]


def test_events_name_an_unknown_word(emulator):
    words(emulator, "moderated")
    client = emulator.client(poll=0.01, wait_timeout=0.3)
    task = client.submit("glass_ball", URL)
    events = [event for event in task.events() if event.kind == "unknown_status"]
    assert [event.details["word"] for event in events] == ["moderated"]


@pytest.mark.parametrize("word", ["expired", "rejected", "Expired"])
def test_expired_and_rejected_are_final(client, emulator, word):
    task = client.submit("glass_ball", URL)
    words(emulator, word)
    seen = task.status()
    assert (seen.status, seen.done) == (word.lower(), True)
    with pytest.raises(TaskFailed, match=f"it is {word.lower()}"):
        task.wait()
