"""Many jobs at once: orders, budgets, the journal, and what a crash leaves behind."""

import asyncio
import contextlib
import io
import json
import pickle
import queue
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from conftest import PHOTO, URL

import spark_effects
from spark_effects import Job, Template

QUICK = {"polls_per_second": 5000}


def jobs(count):
    return [("glass_ball", f"https://example.com/{n}.jpg") for n in range(count)]


def test_map_keeps_the_order_and_as_completed_does_not_wait(emulator, client):
    emulator.follow({"fault": [{"on": "create", "nth": 1, "kind": "take", "seconds": 1.5}]})
    # One submission at a time, so that the slow task is the first job's.
    results = list(client.map(jobs(20), submissions=1, **QUICK))
    assert [result.index for result in results] == list(range(20))
    assert [result.job for result in results] == jobs(20)
    assert all(result.ok and result.effect.bytes() for result in results)
    emulator.reset()
    emulator.follow({"fault": [{"on": "create", "nth": 1, "kind": "take", "seconds": 3600}]})
    results = client.as_completed(jobs(20), submissions=1, **QUICK)
    assert sorted(next(results).index for _ in range(19)) == list(range(1, 20))


def test_every_form_of_a_job(client, emulator):
    task = client.submit("glass_ball", URL)
    forms = [
        ("glass_ball", URL),
        {"template": "my_world", "image": URL, "width": 512, "tag": "t"},
        Job(Template.FELT_KEYCHAIN, PHOTO, height=600, key="mine"),
        task,
    ]
    results = client.map(iter(forms), **QUICK).all()
    assert [result.ok for result in results] == [True] * 4
    assert results[3].effect.task_id == task.id
    assert emulator.counts["accepted"] == 4


def test_a_bad_job_stops_no_other(client, emulator, tmp_path):
    given = [("glas_ball", URL), ("glass_ball", tmp_path / "none.png"), ("glass_ball", URL)]
    bad, missing, good = client.map(given, **QUICK)
    assert isinstance(bad.error, spark_effects.InvalidRequest)
    assert bad.error.violations[0].suggestions == ("glass_ball",)
    assert "cannot be read" in str(missing.error)
    assert good.unwrap().bytes()
    with pytest.raises(spark_effects.InvalidRequest):
        bad.unwrap()


def test_a_job_that_its_giver_takes_back_has_its_result(client, emulator):
    def given():
        row = {}
        for template in ("glass_ball", "my_world"):
            row.update(template=template, image=PHOTO)
            yield row
            row.clear()

    results = client.map(given(), **QUICK).all()
    assert [result.ok for result in results] == [True] * 2
    assert results[0].effect.to_dict()
    assert emulator.counts["accepted"] == 2


@pytest.mark.skipif(sys.platform == "win32", reason="a folder that is in use stays there")
def test_a_folder_that_goes_away_takes_no_result_with_it(client, emulator, tmp_path, monkeypatch):
    emulator.script("create", {"kind": "take", "seconds": 0.5})
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(PHOTO, folder / "photo.png")
    monkeypatch.chdir(folder)
    results = client.as_completed([("glass_ball", "photo.png")], **QUICK)
    while not emulator.counts["accepted"]:
        time.sleep(0.001)
    shutil.rmtree(folder)
    assert [result.ok for result in results] == [True]


def test_a_result_that_cannot_be_made_names_its_task(client, emulator, monkeypatch, caplog):
    def broken(*_):
        raise OSError("no room")

    monkeypatch.setattr(spark_effects._many, "effect_of", broken)
    with pytest.raises(OSError, match="no room"):
        client.map(jobs(1), **QUICK).all()
    (task,) = (seen.task for seen in emulator.requests if seen.endpoint == "create")
    assert caplog.text.count(task) >= 1


def test_what_is_no_job_is_a_result_with_an_error_too(client, emulator):
    closed = io.BytesIO()
    closed.close()
    given = [
        "glass_ball",
        {"template": "glass_ball", "picture": URL},
        ("glass_ball", 5),
        ("glass_ball", closed),
        {"template": "glass_ball", "image": URL, "width": "512"},
        Job("glass_ball", URL, key=5),
        ("glass_ball", URL),
    ]
    *bad, good = client.map(given, **QUICK)
    for result, words in zip(
        bad, ["a job is", "picture", "int", "closed", "width is '512'", "key is 5"], strict=True
    ):
        assert isinstance(result.error, spark_effects.InvalidRequest), result
        assert words in str(result.error)
        assert result.job is given[result.index]
    assert good.ok
    assert emulator.counts["accepted"] == 1


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        ("in_flight", 0),
        ("in_flight", "x"),
        ("in_flight", 1.5),
        ("in_flight", 2**40),
        ("ahead", -1),
        ("ahead", "x"),
        ("ahead", 1.5),
        ("ahead", True),
        ("ahead", 2**40),
        ("unknown_in_a_row", 0),
        ("unknown_in_a_row", None),
        ("unknown_in_a_row", 2.5),
        ("submissions", 0),
        ("polls_per_second", 0),
        ("polls_per_second", "x"),
        ("polls_per_second", float("nan")),
        ("budget", -1),
        ("price", "-0.01"),
        ("price", "x"),
        ("price", "1e-999999999"),
        ("journal", ""),
        ("journal", 5),
        ("policy", 5),
        ("fetch", "no"),
        ("progress", "no"),
    ],
)
def test_an_option_of_many_that_cannot_be_used_is_told_at_once(client, emulator, option, wrong):
    with pytest.raises((TypeError, ValueError), match=f"^{option} is .*: give "):
        client.map([("glass_ball", URL)], **{option: wrong})
    assert emulator.requests == []


@pytest.mark.parametrize("jobs", [None, "glass_ball", {"template": "glass_ball"}, Job("glass_ball", URL)])
def test_what_is_no_list_of_jobs_is_told(client, jobs):
    with pytest.raises(TypeError, match=r"^jobs is .*: give a list"):
        client.map(jobs)


def test_what_the_iterator_raises_comes_out_and_what_was_begun_ends(client):
    def broken():
        yield from jobs(2)
        raise LookupError("the manifest ends here")

    results = client.as_completed(broken(), **QUICK)
    found = []
    with pytest.raises(LookupError, match="manifest"):
        found.extend(results)
    found += list(results)
    assert sorted(result.index for result in found) == [0, 1]


def test_what_the_thread_that_draws_keeps_for_itself_stays_between_two_jobs(client):
    kept, seen = threading.local(), []

    def drawn():
        for job in jobs(40):
            seen.append(getattr(kept, "jobs", 0))
            kept.jobs = seen[-1] + 1
            yield job

    assert len(list(client.as_completed(drawn(), fetch=False, **QUICK))) == 40
    assert seen == list(range(40))


def test_jobs_are_drawn_as_room_comes(client):
    drawn = []

    def endless():
        for n in range(10**9):
            drawn.append(n)
            yield ("glass_ball", URL)

    results = client.as_completed(endless(), in_flight=4, fetch=False, **QUICK)
    for _ in range(30):
        next(results)
    assert len(drawn) <= 30 + 4 + 64 + 1
    results.stop()


def test_results_can_be_closed(client, emulator):
    emulator.follow({"fault": [{"on": "create", "kind": "take", "seconds": 60}]})
    with contextlib.closing(client.as_completed(jobs(9), in_flight=2, **QUICK)) as results:
        accepted(emulator, 2)
    results.close()
    # As after `stop`, what is known of each is told.
    found = results.all()
    assert len({result.error.task_id for result in found} - {None}) == len(found) == 2
    results.close()
    assert emulator.counts["accepted"] == 2


@pytest.mark.parametrize("way", ["map", "as_completed"])
def test_results_that_are_stopped_end_while_no_further_job_comes(emulator, way):
    client, coming = emulator.client(poll=0.005, budget="1.00", price="0.03"), queue.Queue()
    for job in jobs(3):
        coming.put(job)
    results = getattr(client, way)(iter(coming.get, None), **QUICK)
    assert next(results).ok
    results.stop()
    with ThreadPoolExecutor(1) as pool:
        try:
            assert len(pool.submit(results.all).result(timeout=20)) <= 2
            # What was set aside for the jobs is given back.
            assert client.run("glass_ball", URL, fetch=False).usage.cost is not None
        finally:
            coming.put(None)


def test_results_of_an_async_client_can_be_closed(async_client, emulator):
    emulator.follow({"fault": [{"on": "create", "kind": "take", "seconds": 60}]})

    async def main():
        async with contextlib.aclosing(async_client.map(jobs(9), in_flight=2, **QUICK)) as results:
            await asyncio.to_thread(accepted, emulator, 2)
        await results.aclose()
        found = await results.all()
        await results.aclose()
        return found

    found = asyncio.run(main())
    assert len({result.error.task_id for result in found} - {None}) == len(found) == 2
    assert emulator.counts["accepted"] == 2


def accepted(emulator, count):
    """Waits for so many tasks, and then for as long as others would have come in."""
    until = time.monotonic() + 30
    while emulator.counts["accepted"] < count and time.monotonic() < until:
        time.sleep(0.005)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        assert emulator.counts["accepted"] <= count
        time.sleep(0.01)
    return emulator.counts["accepted"]


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({"in_flight": 1}, 1),
        ({"in_flight": 1, "ahead": 0}, 1),
        ({"in_flight": 1, "ahead": 2}, 3),
        ({"in_flight": 4}, 7),
        ({"in_flight": 4, "ahead": 0}, 4),
        ({"in_flight": 2, "ahead": 100}, 102),
    ],
)
@pytest.mark.parametrize("method", ["map", "as_completed"])
def test_a_slow_reader_who_leaves_has_paid_for_no_more_than_may_wait(
    client, async_client, emulator, method, options, most
):
    for result in getattr(client, method)(jobs(200), fetch=False, **options, **QUICK):
        assert result.ok
        assert accepted(emulator, 1 + most) == 1 + most
        break
    assert accepted(emulator, 1 + most) == 1 + most
    emulator.reset()

    async def main():
        async for result in getattr(async_client, method)(jobs(200), fetch=False, **options, **QUICK):
            assert result.ok
            assert accepted(emulator, 1 + most) == 1 + most
            break

    asyncio.run(main())
    assert accepted(emulator, 1 + most) == 1 + most


@pytest.mark.parametrize("method", ["map", "as_completed"])
def test_several_readers_get_each_result_once_and_the_end_each(client, async_client, emulator, method):
    def all_of(results, found):
        found += results

    results, found = getattr(client, method)(jobs(60), fetch=False, **QUICK), []
    readers = [threading.Thread(target=all_of, args=(results, found)) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(30)
    assert sorted(result.index for result in found) == list(range(60))

    async def main():
        results = getattr(async_client, method)(jobs(60), fetch=False, **QUICK)

        async def indexes():
            return [result.index async for result in results]

        return await asyncio.gather(*(indexes() for _ in range(4)))

    found = asyncio.run(asyncio.wait_for(main(), 30))
    assert sorted(index for indexes in found for index in indexes) == list(range(60))
    # Each reader's own come in the order of the jobs.
    assert method == "as_completed" or all(indexes == sorted(indexes) for indexes in found)


def test_a_loop_does_other_things_between_two_results(async_client):
    """Also where a reader holds up its loop, so that the next results are there when it asks."""

    async def main():
        turns = 0

        async def turn():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        turning = asyncio.create_task(turn())
        results = async_client.as_completed(jobs(10), fetch=False, **QUICK)
        before = []
        async for _ in results:
            time.sleep(0.03)
            before.append(turns)
        turning.cancel()
        return before

    before = asyncio.run(asyncio.wait_for(main(), 30))
    assert len(before) == 10
    assert before == sorted(set(before))


def test_whatever_may_wait_every_result_comes(client, emulator, tmp_path):
    """Also where one slow task is before others, where rows are known, and where some are no jobs."""
    emulator.follow({"fault": [{"on": "create", "nth": 1, "kind": "take", "seconds": 0.3}]})
    given = [*jobs(30), ("glas_ball", URL), *jobs(40)]
    for ahead in (0, 1, 1000):
        for in_flight in (1, 5):
            options = {"in_flight": in_flight, "ahead": ahead, "journal": tmp_path / "run.db", **QUICK}
            results = list(client.map(given, fetch=False, **options))
            assert [result.index for result in results] == list(range(71))
            assert [result.index for result in results if not result.ok] == [30]
    assert emulator.counts["accepted"] == 70


def test_what_is_left_of_a_stopped_map_is_told_and_not_submitted(client, emulator):
    results = client.map(jobs(20), in_flight=1, fetch=False, **QUICK)
    assert next(results).ok
    assert accepted(emulator, 2) == 2
    results.stop()
    left = list(results)
    assert left
    assert all(result.ok or isinstance(result.error, spark_effects.EffectsError) for result in left)
    assert emulator.counts["accepted"] == 2


BAD_GATEWAY = {"on": "create", "kind": "status", "status": 502, "body": {"raw": "<html>502</html>"}}


def test_many_unknown_outcomes_in_a_row_hold_the_others_back_and_are_warned_of(client, emulator, caplog):
    emulator.follow({"fault": [BAD_GATEWAY]})
    results = client.as_completed(jobs(12), submissions=1, in_flight=1, **QUICK)
    found = []
    reader = threading.Thread(target=lambda: found.extend(results))
    reader.start()
    until = time.monotonic() + 30
    while not caplog.records and time.monotonic() < until:
        time.sleep(0.005)
    results.stop()
    reader.join()
    (text,) = [record.getMessage() for record in caplog.records if record.name == "spark_effects"]
    assert "the outcomes of 3 submissions in a row are unknown: none leaves for 30 s" in text
    assert emulator.counts["creates_seen"] == 3
    unknown = [result for result in found if isinstance(result.error, spark_effects.OutcomeUnknown)]
    assert len(unknown) == 3


@pytest.mark.parametrize("awaits", [False, True])
def test_how_many_unknown_outcomes_in_a_row_are_too_many_is_an_option(
    client, async_client, emulator, caplog, awaits
):
    emulator.follow({"fault": [{**BAD_GATEWAY, "first": 9}]})
    options = {"in_flight": 4, "unknown_in_a_row": 10, **QUICK}
    if awaits:
        results = asyncio.run(async_client.map(jobs(12), **options).all())
    else:
        results = list(client.map(jobs(12), **options))
    unknown = [result for result in results if isinstance(result.error, spark_effects.OutcomeUnknown)]
    assert (len(unknown), sum(result.ok for result in results)) == (9, 3)
    assert not [record for record in caplog.records if record.name == "spark_effects"]


def test_what_was_stopped_tells_its_task(client, emulator):
    emulator.script("create", *[{"kind": "take", "seconds": 3600}] * 2)
    results = client.map(jobs(2), **QUICK)
    while emulator.counts["accepted"] < 2:
        time.sleep(0.005)
    results.stop()
    errors = [result.error for result in results]
    for error in errors:
        assert isinstance(error, spark_effects.EffectsError)
        assert error.resume_line == client.task(error.task_id).resume_line
        assert error.resume_line in str(error)
        assert pickle.loads(pickle.dumps(error)).task_id == error.task_id
    assert len({error.task_id for error in errors}) == 2


def test_the_budget_holds_before_anything_is_sent(client, emulator):
    results = list(client.map(jobs(10), budget="0.10", **QUICK))
    done = [result for result in results if result.ok]
    refused = [result for result in results if not result.ok]
    assert len(done) == 3 == emulator.counts["accepted"]
    assert {type(result.error) for result in refused} == {spark_effects.BudgetExceeded}
    for bad in (0.1, True, object()):
        with pytest.raises(TypeError, match="budget"):
            client.map(jobs(1), budget=bad)


def test_a_client_s_budget_holds_for_its_life(emulator):
    client = emulator.client(poll=0.005, budget=Decimal("0.13"))
    client.run("glass_ball", URL)
    done = [result.ok for result in client.map(jobs(2), **QUICK)]
    assert done == [True, True]
    client.run("glass_ball", URL)
    with pytest.raises(spark_effects.BudgetExceeded, match=r"0\.13"):
        client.run("glass_ball", URL)
    with pytest.raises(spark_effects.BudgetExceeded):
        client.submit("glass_ball", URL)
    assert not any(result.ok for result in client.map(jobs(2), **QUICK))
    assert emulator.counts["accepted"] == 4


def test_threads_that_share_a_budget_never_exceed_it(emulator):
    client = emulator.client(poll=0.005, budget="0.10")
    ends = []

    def work():
        try:
            client.run("glass_ball", URL)
            ends.append("done")
        except spark_effects.BudgetExceeded:
            ends.append("refused")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ends) == ["done"] * 3 + ["refused"] * 5
    assert str(emulator.spent) == "0.09"


def test_a_second_run_of_completed_jobs_asks_for_nothing_that_is_not_wanted(client, emulator, tmp_path):
    journal = tmp_path / "run.db"
    first = [result.unwrap() for result in client.map(jobs(20), journal=journal, **QUICK)]
    asked = len(emulator.requests)
    again = list(client.map(jobs(20), journal=journal, fetch=False, **QUICK))
    assert len(emulator.requests) == asked
    for before, result in zip(first, again, strict=True):
        effect = result.unwrap()
        assert (effect.task_id, effect.url) == (before.task_id, before.url)
        assert (effect.usage.cost, effect.template) == (before.usage.cost, "glass_ball")
        assert (effect.raw, effect.metadata) == ({}, None)
        assert effect.elapsed >= 0
        assert not effect.picture.fetched
    assert client.fetch(again[0].effect) == first[0].bytes()

    # A caller that wants the pictures gets them, by one look each.
    asked = len(emulator.requests)
    fetched = [result.unwrap().bytes() for result in client.map(jobs(20), journal=journal, **QUICK)]
    assert fetched == [effect.bytes() for effect in first]
    endpoints = [seen.endpoint for seen in emulator.requests[asked:]]
    assert (endpoints.count("create"), endpoints.count("task")) == (0, 20)


def test_a_second_run_pays_for_nothing_twice(client, emulator, tmp_path):
    journal = tmp_path / "run.db"
    first = list(client.map(jobs(10), journal=journal, **QUICK))
    again = list(client.map(jobs(12), journal=journal, **QUICK))
    assert emulator.counts["accepted"] == 12
    ids = [result.unwrap().task_id for result in first]
    assert [result.unwrap().task_id for result in again][:10] == ids
    assert all(result.effect.bytes() for result in again)


def test_doubtful_and_failed_rows_are_told_and_not_sent_again(client, emulator, tmp_path):
    journal = tmp_path / "run.db"
    emulator.script("create", {"kind": "reset", "when": "after"}, {"kind": "fail", "code": "3009095"})
    options = {"journal": journal, "submissions": 1, **QUICK}
    lost, failed = client.map(jobs(2), **options)
    assert isinstance(lost.error, spark_effects.OutcomeUnknown)
    assert isinstance(failed.error, spark_effects.TaskFailed)
    lost, failed = client.map(jobs(2), **options)
    assert isinstance(lost.error, spark_effects.OutcomeUnknown)
    assert "effects resolve 1" in str(lost.error)
    assert isinstance(failed.error, spark_effects.TaskFailed)
    assert failed.error.task_id
    assert emulator.counts["accepted"] == 2


def test_a_signed_link_needs_a_key(client, emulator, tmp_path):
    signed = "https://example.com/cat.jpg?X-Amz-Signature=5f"
    given = [("glass_ball", signed), Job("glass_ball", signed, key="cat")]
    bare, keyed = client.map(given, journal=tmp_path / "run.db", **QUICK)
    assert "key" in str(bare.error)
    assert keyed.ok
    assert emulator.counts["accepted"] == 1


FULL = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as database:
    database.execute(sys.argv[2])
"""
NO_TASK = "CREATE TRIGGER full BEFORE INSERT ON tasks BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"


def alter(journal, sql):
    """Elsewhere: a process that closes a file of SQLite's gives up every lock it has on it."""
    subprocess.run([sys.executable, "-c", FULL, str(journal), sql], check=True)


@pytest.mark.parametrize("call", ["run", "submit"])
def test_a_task_whose_id_the_journal_does_not_take_is_an_error_with_the_id(emulator, tmp_path, call):
    journal = tmp_path / "run.db"
    client = emulator.client(poll=0.005, journal=journal)
    client.run("glass_ball", URL)
    alter(journal, NO_TASK)
    with pytest.raises(spark_effects.EffectsError, match="the disk is full") as caught:
        getattr(client, call)("glass_ball", URL)
    assert caught.value.task_id
    assert caught.value.task_id in caught.value.resume_line
    alter(journal, "DROP TRIGGER full")
    del client
    listed = subprocess.run(
        [sys.executable, "-m", "spark_effects", "tasks", "--journal", journal, "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [json.loads(line) for line in listed.stdout.splitlines()]
    assert [row["standing"] for row in rows] == ["completed", "created"]
    assert rows[1]["task_id"] == caught.value.task_id


def test_single_runs_are_journaled_too(emulator, tmp_path):
    journal = tmp_path / "run.db"
    client = emulator.client(poll=0.005, journal=journal)
    client.run("glass_ball", URL)
    client.submit("glass_ball", URL)
    import sqlite3

    with sqlite3.connect(journal) as database:
        tables = [name for (name,) in database.execute("select name from sqlite_master")]
    assert tables
    assert emulator.api_key.encode() not in journal.read_bytes()


def test_the_async_client_does_the_same(async_client, emulator):
    async def main():
        ordered = [result async for result in async_client.map(jobs(20), **QUICK)]
        ended = await async_client.as_completed(jobs(20), **QUICK).all()
        return ordered, ended

    ordered, ended = asyncio.run(main())
    assert [result.index for result in ordered] == list(range(20))
    assert sorted(result.index for result in ended) == list(range(20))
    assert all(result.ok for result in [*ordered, *ended])
    assert emulator.counts["accepted"] == 40


CHILD = """
import sys, spark_effects
url, key, journal, count = sys.argv[1:]
client = spark_effects.Client(base_url=url, api_key=key, poll=0.01)
jobs = [("glass_ball", f"https://example.com/{n}.jpg") for n in range(int(count))]
done = 0
try:
    for result in client.as_completed(jobs, journal=journal or None, polls_per_second=500, fetch=False):
        done += result.ok
        print(result.index, result.effect or result.error, flush=True)
except KeyboardInterrupt as error:
    print("\\n".join(getattr(error, "__notes__", [])), flush=True)
    sys.exit(130)
print("done", done)
"""


def child(emulator, journal, count):
    script = textwrap.dedent(CHILD)
    arguments = [sys.executable, "-c", script, emulator.base_url, emulator.api_key, str(journal), str(count)]
    pipe = subprocess.PIPE
    return subprocess.Popen(arguments, stdout=pipe, stderr=pipe, text=True)


def test_ctrl_c_in_the_middle_names_every_task_that_goes_on(emulator):
    emulator.follow({"fault": [{"on": "create", "kind": "take", "seconds": 3600}]})
    running = child(emulator, "", 3)
    while emulator.counts["accepted"] < 3:
        pass
    while sum(seen.endpoint == "task" for seen in emulator.requests) < 6:
        pass
    running.send_signal(signal.SIGINT)
    out, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    tasks = {seen.path.rsplit("/", 1)[1] for seen in emulator.requests if seen.endpoint == "task"}
    assert len(tasks) == 3
    for task in tasks:
        assert f"effects wait {task} --base-url {emulator.base_url}" in out + errors


def test_a_killed_run_is_taken_up_and_each_row_is_paid_once(emulator, tmp_path):
    journal = tmp_path / "run.db"
    for after in (1, 5, 12):
        running = child(emulator, journal, 30)
        for _ in range(after):
            running.stdout.readline()
        running.kill()
        running.communicate()
    running = child(emulator, journal, 30)
    out, errors = running.communicate(timeout=120)
    assert running.returncode == 0, errors
    lines = out.splitlines()
    doubtful = [line for line in lines if "doubtful" in line]
    done = int(lines[-1].split()[1])
    assert done + len(doubtful) == 30, out
    assert max(emulator.counts["by_body"].values()) == 1, "a row was paid twice"


def test_two_processes_on_one_journal_pay_once(emulator, tmp_path):
    journal = tmp_path / "run.db"
    both = [child(emulator, journal, 20) for _ in range(2)]
    for running in both:
        out, errors = running.communicate(timeout=120)
        assert out.splitlines()[-1] == "done 20", out + errors
    assert emulator.counts["accepted"] == 20
    assert max(emulator.counts["by_body"].values()) == 1


LEAVES = """
import itertools, sys, spark_effects
url, key = sys.argv[1:]
client = spark_effects.Client(base_url=url, api_key=key, poll=0.01)
jobs = (("glass_ball", f"https://example.com/{n}.jpg") for n in itertools.count())
results = client.as_completed(jobs, fetch=False)
print(next(results).ok)
"""


def test_a_program_that_ends_while_jobs_are_drawn_ends_well(emulator):
    script = """
        import queue, sys
        from spark_effects import Client

        client = Client(base_url=sys.argv[1], api_key=sys.argv[2], poll=0.005)
        coming = queue.Queue()
        coming.put(("glass_ball", "https://example.com/cat.jpg"))
        results = client.as_completed(iter(coming.get, None))
        next(results)
        results.stop()
        # The thread that draws wakes, and comes back from Python while the interpreter ends.
        coming.put(None)
        """
    arguments = [sys.executable, "-c", textwrap.dedent(script), emulator.base_url, emulator.api_key]
    for _ in range(15):
        ended = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
        assert (ended.returncode, ended.stderr) == (0, "")


def test_a_program_that_leaves_in_the_middle_ends(emulator):
    arguments = [sys.executable, "-c", LEAVES, emulator.base_url, emulator.api_key]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    assert "Traceback" not in done.stderr
    assert emulator.counts["accepted"] == emulator.counts["creates_seen"] >= 1


class Refused(Exception):
    """Ends a call of many jobs at the native half, which would begin them."""


@pytest.mark.parametrize("method", ["map", "as_completed"])
@pytest.mark.parametrize("kind", [spark_effects.Client, spark_effects.AsyncClient])
def test_an_emulator_of_this_process_is_looked_at_more_often(emulator, monkeypatch, kind, method):
    """How many looks a second a call asks the native half for."""
    asked = []

    class Native:
        def run_many(self, plan, policy):
            asked.append(plan["batch_limits"][2])
            raise Refused

    here = emulator.client() if kind is spark_effects.Client else emulator.async_client()
    elsewhere = kind(api_key="k", base_url="https://gateway.example")
    monkeypatch.setattr(kind, "_open", Native())
    for client, options in [(here, {}), (elsewhere, {}), (here, {"polls_per_second": 3})]:
        with pytest.raises(Refused):
            getattr(client, method)([("glass_ball", URL)], **options)
    assert asked == [1000, 20, 3]
