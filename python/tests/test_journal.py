"""A client's journal is settled by the call that sees a task end through that client."""

import asyncio
import contextlib
import inspect
import json
import os
import pickle
import subprocess
import sys

import pytest
from conftest import ROOT, URL

import spark_effects

QUICK = {"polls_per_second": 5000}
BLOCKING, AWAITED = "client", "async_client"


async def given(value):
    return await value if inspect.isawaitable(value) else value


async def every(values):
    if hasattr(values, "__aiter__"):
        return [value async for value in values]
    return list(values)


async def look(client, task):
    while (await given(task.status())).status not in {"completed", "failed"}:
        await asyncio.sleep(0.005)


async def finish(client, task):
    return await given(task.events().finish(fetch=False))


async def pickled(client, task):
    return await given(pickle.loads(pickle.dumps(task)).wait())


#: The ways to see the end of a task.
ENDS = {
    "wait": lambda client, task: given(task.wait()),
    "wait_without_the_picture": lambda client, task: given(task.wait(fetch=False)),
    "status": look,
    "events": lambda client, task: every(task.events()),
    "finish": finish,
    "by_its_id": lambda client, task: given(client.task(task.id).wait()),
    "pickled": pickled,
    "map": lambda client, task: every(client.map([task], **QUICK)),
    "as_completed": lambda client, task: every(client.as_completed([client.task(task.id)], **QUICK)),
}


def command(*line, **environment):
    """What the command prints, object by object."""
    line = [sys.executable, "-m", "spark_effects", *map(str, line)]
    done = subprocess.run(
        line, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment}, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(text) for text in done.stdout.splitlines()]


def standing(journal):
    rows = command("tasks", "--journal", journal, "--json")
    return [(row["task_id"], row["standing"], row["cost"]) for row in rows]


async def submitted_and_seen(client, end):
    task = await given(client.submit("glass_ball", URL))
    # How each face tells a failure is another test's.
    with contextlib.suppress(spark_effects.TaskFailed):
        await ENDS[end](client, task)
    return task.id


@pytest.mark.parametrize("kind", [BLOCKING, AWAITED])
@pytest.mark.parametrize("end", ENDS)
def test_the_end_of_a_submitted_task_is_in_the_journal(emulator, tmp_path, kind, end):
    journal = tmp_path / "run.db"
    client = getattr(emulator, kind)(poll=0.005, journal=journal)
    done = asyncio.run(submitted_and_seen(client, end))
    assert standing(journal) == [(done, "completed", "0.03")]
    emulator.script("create", {"kind": "fail", "code": "3009096"})
    failed = asyncio.run(submitted_and_seen(client, end))
    assert standing(journal)[1:] == [(failed, "failed", None)]
    (cost,) = command("cost", "--journal", journal, "--json")
    assert cost["cost"] == "0.03"


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="it shows which files are open")
def test_a_submission_has_closed_its_journal_when_the_caller_has_the_task(emulator, tmp_path):
    """What closes it lets go of the row first: else a wait right after it takes the row for another's, and
    leaves its end to that."""
    client = emulator.client(journal=tmp_path / "run.db")
    task = client.submit("glass_ball", URL)
    files = [os.path.join("/proc/self/fd", number) for number in os.listdir("/proc/self/fd")]
    opened = [os.readlink(file) for file in files if os.path.lexists(file)]
    assert not [name for name in opened if name.startswith(str(tmp_path))], task


@pytest.mark.parametrize("kind", [BLOCKING, AWAITED])
@pytest.mark.parametrize("end", ["wait", "status", "events", "map"])
def test_the_row_of_another_process_is_settled_too(emulator, tmp_path, kind, end):
    journal = tmp_path / "run.db"
    line = ["submit", "glass_ball", URL, "--journal", journal, "--json", "--base-url", emulator.base_url]
    (task,) = command(*line, EFFECTS_API_KEY=emulator.api_key)
    assert [row[1] for row in standing(journal)] == ["created"]
    client = getattr(emulator, kind)(poll=0.005, journal=journal)
    asyncio.run(given(ENDS[end](client, client.task(task["task_id"]))))
    assert standing(journal) == [(task["task_id"], "completed", "0.03")]


def test_a_run_whose_wait_ended_is_settled_by_a_later_wait(emulator, tmp_path):
    journal = tmp_path / "run.db"
    client = emulator.client(poll=0.005, journal=journal)
    emulator.script("create", {"kind": "take", "seconds": 1})
    with pytest.raises(spark_effects.WaitTimeout) as caught:
        client.run("glass_ball", URL, wait_timeout=0.02)
    assert [row[1] for row in standing(journal)] == ["created"]
    client.task(caught.value.task_id).wait()
    assert standing(journal) == [(caught.value.task_id, "completed", "0.03")]


def test_a_task_that_is_over_when_it_is_submitted_is_settled_at_once(emulator, tmp_path):
    journal = tmp_path / "run.db"
    emulator.script("create", "finished")
    task = emulator.client(journal=journal).submit("glass_ball", URL)
    assert standing(journal) == [(task.id, "completed", "0.03")]


def test_a_task_that_is_followed_for_its_price_is_settled(emulator, tmp_path):
    journal = tmp_path / "run.db"
    client = emulator.client(poll=0.005, journal=journal, budget="0.06")
    first, second = client.submit("glass_ball", URL), client.submit("glass_ball", URL)
    assert standing(journal) == [(first.id, "completed", "0.03"), (second.id, "created", None)]


def test_waits_at_once_for_one_task_settle_it_once(emulator, tmp_path):
    journal = tmp_path / "run.db"
    client = emulator.async_client(poll=0.005, journal=journal)

    async def main():
        task = await client.submit("glass_ball", URL)
        effects = await asyncio.gather(*(client.task(task.id).wait(fetch=False) for _ in range(8)))
        assert {effect.task_id for effect in effects} == {task.id}
        return task.id

    task = asyncio.run(main())
    assert standing(journal) == [(task, "completed", "0.03")]


@pytest.mark.parametrize("kind", [BLOCKING, AWAITED])
def test_a_task_that_the_journal_does_not_know_changes_nothing(emulator, client, tmp_path, kind):
    task = client.submit("glass_ball", URL)
    journal = tmp_path / "run.db"
    own = getattr(emulator, kind)(poll=0.005, journal=journal)
    asyncio.run(given(own.task(task.id).wait()))
    # Nor is a journal made for it.
    assert list(tmp_path.iterdir()) == []
    asyncio.run(given(own.run("my_world", URL)))
    before = standing(journal)
    asyncio.run(given(own.task(task.id).status()))
    assert standing(journal) == before


FULL = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as database:
    database.execute(
        "CREATE TRIGGER full BEFORE UPDATE ON tasks BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
    )
"""


def test_an_end_that_the_journal_does_not_take_is_a_warning_and_the_result_is_given(
    emulator, tmp_path, caplog
):
    journal = tmp_path / "run.db"
    client = emulator.client(poll=0.005, journal=journal)
    task = client.submit("glass_ball", URL)
    # Elsewhere: a process that closes a file of SQLite's gives up every lock it has on it.
    subprocess.run([sys.executable, "-c", FULL, str(journal)], check=True)
    assert task.wait().bytes()
    (text,) = [record.getMessage() for record in caplog.records if record.name == "spark_effects"]
    assert f"the journal did not take the end of task {task.id}" in text
    assert "the disk is full" in text
