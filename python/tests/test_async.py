"""The async client: the same names, awaited."""

import asyncio
import contextlib
import time

import pytest
from conftest import PHOTO, URL

import spark_effects
from spark_effects import Emulator, _loop


def test_awaiting_gives_what_blocking_gives():
    async def main(client):
        effect = await client.run("glass_ball", PHOTO, width=512, height=512)
        task = await client.submit("my_world", PHOTO, width=512, height=512)
        events = [event async for event in task.events()]
        assert all(event.task_id == task.id for event in events)
        status = await task.status()
        assert status.status == "completed"
        return effect, await task.wait()

    with Emulator() as emulator:
        first, second = asyncio.run(main(emulator.async_client(poll=0.02)))
    assert first.image().size == second.image().size == (512, 512)


def test_many_at_once_on_one_loop(async_client, emulator):
    async def main():
        runs = (async_client.run("glass_ball", URL, fetch=False) for _ in range(200))
        return await asyncio.gather(*runs)

    effects = asyncio.run(main())
    assert len({effect.task_id for effect in effects}) == 200
    assert emulator.counts["accepted"] == 200


def test_one_client_serves_one_loop_after_the_other(async_client):
    for _ in range(3):
        assert asyncio.run(async_client.run("glass_ball", URL)).bytes()


def test_what_the_events_came_to_is_there_at_once_after_them():
    emulator = Emulator(clock="virtual", latency=60, pictures="stub")

    async def main():
        task = await emulator.async_client(poll=0.01).submit("glass_ball", URL)
        events, standing = task.events(), []
        async for event in events:
            standing.append((task.to_dict()["status"], event.details["status"]))
            emulator.advance(60)
        turns = []
        asyncio.get_running_loop().call_soon(turns.append, "the loop's")
        effect = await events.finish(fetch=False)
        assert turns == []
        assert task.to_dict()["status"] == "completed"
        assert standing
        assert {known for known, _ in standing} == {said for _, said in standing} == {"in_progress"}
        return effect.task_id == task.id

    assert asyncio.run(main())


def test_errors_are_the_same(async_client):
    with pytest.raises(spark_effects.InvalidRequest):
        asyncio.run(async_client.run("glas_ball", URL))
    with pytest.raises(spark_effects.TaskNotFound) as caught:
        asyncio.run(async_client.task("no-such-task").status())
    assert caught.value.task_id == "no-such-task"
    with pytest.raises(TypeError, match="did you mean 'width'"):
        asyncio.run(async_client.run("glass_ball", URL, widht=512))


def test_nothing_happens_before_it_is_awaited(async_client, emulator):
    coroutine = async_client.run("glass_ball", URL)
    coroutine.close()
    assert emulator.requests == []


def test_cancelling_detaches_and_a_submission_still_gets_its_answer(async_client, emulator):
    emulator.script("create", {"kind": "slow", "seconds": 0.2})

    async def main():
        run = asyncio.create_task(async_client.run("glass_ball", URL))
        while not emulator.requests:
            await asyncio.sleep(0.005)
        run.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await run
        return getattr(caught.value, "__notes__", [])

    notes = asyncio.run(main())
    assert not notes or "under way" in notes[0]
    spark_effects._native.wait_for_submissions(10)
    assert emulator.counts["accepted"] == 1
    assert [seen.endpoint for seen in emulator.requests] == ["create"], "it is not polled any more"


def test_a_cancelled_wait_looks_no_more(async_client, emulator):
    emulator.script("create", {"kind": "take", "seconds": 3600})

    async def main():
        task = await async_client.submit("glass_ball", URL)
        waiting = asyncio.create_task(task.wait())
        while len(emulator.requests) < 4:
            await asyncio.sleep(0.005)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await waiting
        # What was on its way arrives; then there is silence.
        await asyncio.sleep(0.05)
        seen = len(emulator.requests)
        await asyncio.sleep(0.1)
        assert len(emulator.requests) == seen
        notes = getattr(caught.value, "__notes__", [task.resume_line])
        assert task.resume_line in notes[0]

    asyncio.run(main())


def test_wait_for_is_a_detaching_too(async_client, emulator):
    emulator.script("create", {"kind": "take", "seconds": 3600})

    async def main():
        run = asyncio.create_task(async_client.run("glass_ball", URL))
        while not emulator.counts["accepted"]:
            await asyncio.sleep(0.005)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(run, 0.05)
        assert run.cancelled()

    asyncio.run(main())
    assert emulator.counts["accepted"] == 1


def test_uvloop(async_client):
    uvloop = pytest.importorskip("uvloop")

    async def main():
        runs = (async_client.run("glass_ball", URL) for _ in range(20))
        return await asyncio.gather(*runs)

    for _ in range(2):
        loop = uvloop.new_event_loop()
        try:
            assert len(loop.run_until_complete(main())) == 20
        finally:
            loop.close()


def test_anyio_on_asyncio(async_client):
    anyio = pytest.importorskip("anyio")
    found = []

    async def one():
        found.append(await async_client.run("glass_ball", URL))

    async def main():
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(one)

    anyio.run(main)
    assert len(found) == 5


def test_trio_is_told_that_it_is_not_supported(async_client, emulator):
    trio = pytest.importorskip("trio")
    with pytest.raises(RuntimeError, match="trio is not supported"):
        trio.run(async_client.run, "glass_ball", URL)
    assert emulator.requests == []


def test_a_journal_that_another_process_holds_holds_up_no_loop(emulator, tmp_path):
    import sqlite3
    import subprocess
    import sys

    path = tmp_path / "run.db"
    holder = (
        "import sqlite3, sys; d = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "d.execute('begin exclusive'); print('held', flush=True); sys.stdin.read()"
    )
    client = emulator.async_client(poll=0.005, journal=path)
    pipe = subprocess.PIPE

    async def main():
        with subprocess.Popen([sys.executable, "-c", holder, str(path)], stdin=pipe, stdout=pipe) as other:
            other.stdout.readline()
            run = asyncio.create_task(client.run("glass_ball", URL))
            jobs = asyncio.create_task(client.map([("glass_ball", URL)]).all())
            turns = 0
            while turns < 20:
                await asyncio.sleep(0.005)
                turns += 1
            assert not run.done()
            assert not jobs.done()
            other.stdin.close()
            effect, results = await asyncio.gather(run, jobs)
        assert effect.task_id
        assert results[0].ok

    asyncio.run(main())
    with sqlite3.connect(path) as database:
        assert database.execute("select count(*) from sqlite_master").fetchone()[0] > 0


def test_runs_at_once_share_one_journal(emulator, tmp_path):
    import os

    client = emulator.async_client(poll=0.005, journal=tmp_path / "run.db")

    def open_files():
        for fd in os.listdir("/proc/self/fd"):
            # A connection may be closed between the list and the look.
            with contextlib.suppress(FileNotFoundError):
                yield os.readlink(f"/proc/self/fd/{fd}")

    async def main():
        runs = asyncio.gather(*(client.run("glass_ball", URL, fetch=False) for _ in range(60)))
        most = 0
        while not runs.done():
            most = max(most, sum(name.endswith("run.db") for name in open_files()))
            await asyncio.sleep(0.002)
        await runs
        return most

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("what is open is listed on Linux alone")
    assert asyncio.run(main()) <= 2
    assert emulator.counts["accepted"] == 60


CAREFUL = """
import asyncio, gc, sys
from spark_effects import AsyncClient

client = AsyncClient(base_url=sys.argv[1], api_key=sys.argv[2], poll=0.005)
URL = "https://example.com/cat.jpg"

async def main():
    # A busy machine takes a tenth of a second for a turn, too; that is not what is looked for.
    asyncio.get_running_loop().slow_callback_duration = 3600
    await asyncio.gather(*(client.run("glass_ball", URL) for _ in range(20)))
    task = await client.submit("glass_ball", URL)
    async for event in task.events():
        break
    running = asyncio.create_task(task.wait())
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    # A result and a cancellation may come in the same turn of the loop.
    for delay in range(20):
        waiting = asyncio.create_task(client.task(task.id).wait())
        await asyncio.sleep(delay / 4000)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    results = client.as_completed([("glass_ball", URL)] * 3, polls_per_second=1000)
    async for result in results:
        assert result.ok

for _ in range(3):
    asyncio.run(main(), debug=True)
    gc.collect()
loop = asyncio.new_event_loop()
try:
    loop.run_until_complete(client.run("glass_ball", URL))
finally:
    loop.close()
del loop
gc.collect()
print("clean")
"""


def test_nothing_is_left_open_or_unheard_of_in_debug_mode(emulator):
    import subprocess
    import sys

    emulator.follow({"fault": [{"on": "create", "kind": "take", "seconds": 0.02}]})
    strict = ["-X", "dev", "-W", "error"]
    command = [sys.executable, *strict, "-c", CAREFUL, emulator.base_url, emulator.api_key]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("clean\n", "")


@pytest.fixture
def woken(monkeypatch):
    """Grows by one with each wake-up of a loop for results."""
    woken, deliver = [], _loop.LoopCompletions._deliver

    def counted(completions):
        woken.append(completions)
        deliver(completions)

    monkeypatch.setattr(_loop.LoopCompletions, "_deliver", counted)
    return woken


def test_what_is_there_at_once_wakes_no_loop(async_client, woken):
    async def main():
        events = (await async_client.submit("glass_ball", URL)).events()
        await events.finish(fetch=False)
        woken.clear()
        with pytest.raises(StopAsyncIteration):
            await anext(events)
        await events.finish(fetch=False)
        # A wake-up would come in the loop's next turn.
        for _ in range(3):
            await asyncio.sleep(0)
        return len(woken)

    assert asyncio.run(main()) == 0


def test_a_loop_is_woken_once_a_millisecond_while_more_is_to_come(async_client, emulator, woken):
    emulator.follow({"fault": [{"on": "create", "nth": 1, "kind": "take", "seconds": 3600}]})

    async def main():
        task = await async_client.submit("glass_ball", URL)
        waiting = asyncio.create_task(task.wait())
        await asyncio.sleep(0)
        woken.clear()
        begun = time.monotonic()
        looks = await asyncio.gather(*(task.status() for _ in range(1000)))
        milliseconds = (time.monotonic() - begun) * 1000
        waiting.cancel()
        return len(looks), len(woken), milliseconds

    looks, wakes, milliseconds = asyncio.run(main())
    # And once for what came just before and after.
    assert looks == 1000
    assert wakes <= milliseconds + 2


def test_a_loop_is_woken_once_in_four_milliseconds_for_results_of_many_jobs(async_client, woken):
    async def main():
        begun, taken = time.monotonic(), 0
        async for result in async_client.as_completed([("glass_ball", URL)] * 200, fetch=False):
            result.unwrap()
            taken += 1
        return taken, len(woken), (time.monotonic() - begun) * 1000

    taken, wakes, milliseconds = asyncio.run(main())
    # And once for the first and for the end.
    assert taken == 200
    assert wakes <= milliseconds / 4 + 2
