"""`run(on_event=)` and `run(progress=True)`: the events of a run on its way, at the same price."""

import asyncio
import io
import logging
import sys

import pytest
from conftest import URL
from test_journal import standing

from spark_effects import EffectsError, Emulator, TaskFailed, TransportError


def records_of(caplog, task):
    return [one for one in caplog.records if one.name == "spark_effects" and task in one.getMessage()]


@pytest.mark.parametrize("awaits", [False, True])
def test_events_are_told_as_they_come(awaits):
    with Emulator(clock="virtual", latency=60, pictures="stub") as emulator:
        emulator.script("create", {"kind": "status", "status": 429})
        events = []

        def on_event(event):
            events.append(event)
            # However slow the machine is, the task runs until it was seen to.
            if event.kind == "running":
                emulator.advance(60)

        if awaits:

            async def main():
                async def awaited(event):
                    await asyncio.sleep(0)
                    on_event(event)

                return await emulator.async_client(poll=0.01).run("glass_ball", URL, on_event=awaited)

            effect = asyncio.run(main())
        else:
            effect = emulator.client(poll=0.01).run("glass_ball", URL, on_event=on_event)
        assert effect.bytes()
        assert effect.template == "glass_ball"
        kinds = [event.kind for event in events]
        assert kinds[:3] == ["retrying", "submitted", "running"]
        assert {event.task_id for event in events[1:]} == {effect.task_id}
        assert emulator.counts["accepted"] == 1


def test_a_failed_run_raises_what_it_does_without_events(emulator):
    client = emulator.client(poll=0.005)
    for options in ({}, {"on_event": print}, {"progress": True}):
        emulator.script("create", {"kind": "fail", "code": "3009095"})
        with pytest.raises(TaskFailed) as raised:
            client.run("glass_ball", URL, **options)
        assert raised.value.code == "3009095"
        assert raised.value.task_id


@pytest.mark.parametrize("awaits", [False, True])
@pytest.mark.parametrize("error", [KeyError("mine"), EffectsError("mine"), KeyboardInterrupt()])
def test_an_error_of_the_function_ends_the_watching_and_names_the_task(emulator, caplog, awaits, error):
    emulator.script("create", {"kind": "take", "seconds": 5})
    events = []

    def on_event(event):
        events.append(event)
        raise error

    def run():
        if awaits:
            asyncio.run(emulator.async_client(poll=0.01).run("glass_ball", URL, on_event=on_event))
        else:
            emulator.client(poll=0.01).run("glass_ball", URL, on_event=on_event)

    with pytest.raises(type(error)) as raised:
        run()
    (event,) = events
    assert event.kind == "submitted"
    assert len(records_of(caplog, event.task_id)) == 1
    assert "resume with" in "".join(raised.value.__notes__)
    assert emulator.counts["accepted"] == 1


def test_a_journal_and_a_budget_know_its_end(emulator, tmp_path):
    journal = tmp_path / "done.db"
    client = emulator.client(poll=0.005, journal=journal, budget="0.05", price="0.03")
    effect = client.run("glass_ball", URL, on_event=lambda event: None)
    assert standing(journal) == [(effect.task_id, "completed", "0.03")]
    with pytest.raises(EffectsError, match="budget"):
        client.run("my_world", URL, on_event=lambda event: None)
    assert emulator.counts["accepted"] == 1


def test_a_cancelled_run_names_its_task(emulator, caplog):
    emulator.script("create", {"kind": "take", "seconds": 5})

    async def main():
        submitted = asyncio.Event()
        client, events = emulator.async_client(poll=0.01), []

        def on_event(event):
            events.append(event)
            submitted.set()

        run = asyncio.create_task(client.run("glass_ball", URL, on_event=on_event))
        await submitted.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        return events[0].task_id

    task = asyncio.run(main())
    assert len(records_of(caplog, task)) == 1


def test_what_cannot_be_told_is_refused_before_anything_is_sent(client, emulator):
    async def on_event(event):
        pass

    for wrong in (on_event, "print", 3):
        with pytest.raises(TypeError, match="on_event"):
            client.run("glass_ball", URL, on_event=wrong)
    with pytest.raises(TypeError, match="progress"):
        client.run("glass_ball", URL, progress="yes")
    assert emulator.requests == []


@pytest.mark.parametrize("tqdm", [True, False])
def test_progress_is_shown(emulator, capsys, monkeypatch, tqdm):
    if not tqdm:
        monkeypatch.setitem(sys.modules, "tqdm", None)
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    emulator.script("create", {"kind": "status", "status": 429}, {"kind": "take", "seconds": 0.1})
    effect = emulator.client(poll=0.01).run("glass_ball", URL, progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert effect.task_id in shown.err
    assert "again in" in shown.err
    assert ("100%" in shown.err) == tqdm


@pytest.mark.parametrize("stderr", ["none", "closed"])
def test_progress_without_stderr_disturbs_nothing(client, monkeypatch, stderr):
    gone = io.StringIO()
    gone.close()
    monkeypatch.setattr(sys, "stderr", None if stderr == "none" else gone)
    assert client.run("glass_ball", URL, progress=True).bytes()


def test_a_gateway_that_is_gone_is_the_same_error(emulator, caplog):
    caplog.set_level(logging.WARNING)
    client = emulator.client(poll=0.005, wait_timeout=0.2)
    emulator.stop()
    with pytest.raises(TransportError):
        client.run("glass_ball", URL, on_event=lambda event: None)
