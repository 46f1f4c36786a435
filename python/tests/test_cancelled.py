"""Runs cancelled from inside, by asyncio or by leaving a loop: no id of a paid task is lost."""

import json
import multiprocessing
import re
import subprocess
import sys
import time

import pytest

from spark_effects import TaskNotFound

RECENT = pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio has it since Python 3.11")

SCRIPT = """
import asyncio, json, logging, sys, time
from spark_effects import AsyncClient, Client, _native

options = {"base_url": sys.argv[1], "api_key": sys.argv[2], "poll": 0.01}
client = AsyncClient(**options)
JOBS = [("glass_ball", f"https://example.com/{n}.jpg") for n in range(3)]

def run(number=0):
    return client.run(*JOBS[number])

async def go():
    # The test says that the tasks are under way.
    await asyncio.to_thread(sys.stdin.readline)

async def fail():
    await go()
    raise LookupError("a sibling")

def taken(result):
    print(json.dumps(result.unwrap().task_id), flush=True)

"""

#: How each leaves its tasks, and how many it submits.
LONG = {
    "task_group": (
        """
        async def main():
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(one) for one in (run(0), run(1), fail())]
            except* LookupError:
                pass
        asyncio.run(main())
        """,
        2,
    ),
    "gather": (
        """
        async def main():
            try:
                await asyncio.gather(run(0), run(1), fail())
            except LookupError:
                pass
        asyncio.run(main())
        """,
        2,
    ),
    "pending_at_the_end": (
        """
        async def main():
            task = asyncio.create_task(run())
            await go()
        asyncio.run(main())
        """,
        1,
    ),
    "closed_loop": (
        """
        async def main():
            asyncio.create_task(run())
            await go()
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
        del loop
        """,
        1,
    ),
    "loop_that_is_left": (
        """
        async def work(number):
            try:
                await asyncio.gather(run(number))
            finally:
                # It cannot be awaited any more.
                await asyncio.sleep(0)
        async def main():
            tasks = [asyncio.create_task(work(number)) for number in range(2)]
            await go()
        asyncio.new_event_loop().run_until_complete(main())
        """,
        2,
    ),
    "wait_then_cancel": (
        """
        async def main():
            task = asyncio.create_task(run())
            await go()
            await asyncio.wait([task], timeout=0)
            task.cancel()
            await asyncio.wait([task])
        asyncio.run(main())
        """,
        1,
    ),
    "caught_wait_for": (
        """
        async def main():
            try:
                await asyncio.wait_for(run(), 5)
            except asyncio.TimeoutError:
                await go()
        asyncio.run(main())
        """,
        1,
    ),
    "timeout_around_map": (
        """
        async def main():
            async def expire(limit):
                await go()
                limit.reschedule(0)
            try:
                async with asyncio.timeout(None) as limit:
                    expiring = asyncio.create_task(expire(limit))
                    async for result in client.map(JOBS):
                        pass
            except TimeoutError:
                pass
        asyncio.run(main())
        """,
        3,
    ),
    "a_task_of_a_submission": (
        """
        async def work():
            task = await client.submit(*JOBS[0])
            await task.wait()
        async def main():
            try:
                await asyncio.gather(work(), fail())
            except LookupError:
                pass
        asyncio.run(main())
        """,
        1,
    ),
    "a_timer_that_is_caught": (
        """
        import signal
        def expire(*_):
            raise TimeoutError
        signal.signal(signal.SIGALRM, expire)
        signal.setitimer(signal.ITIMER_REAL, 5)
        try:
            Client(**options).run(*JOBS[0])
        except TimeoutError:
            pass
        sys.stdin.readline()
        """,
        1,
    ),
}

#: The same of tasks that are over: their answers are there, and no caller has them.
ANSWERED = {
    "run": (
        """
        async def main():
            task = asyncio.create_task(run())
            await asyncio.sleep(0)
            # The loop stands still, and delivers nothing.
            sys.stdin.readline()
            while _native.submissions_under_way():
                time.sleep(0.001)
            task.cancel()
            await asyncio.wait([task])
        asyncio.run(main())
        """,
        1,
    ),
    "async_map": (
        """
        async def main():
            async for result in client.map(JOBS):
                taken(result)
                await go()
                break
        asyncio.run(main())
        """,
        3,
    ),
    "all_of_an_async_map": (
        """
        async def main():
            results = asyncio.create_task(client.map(JOBS, in_flight=1, ahead=0).all())
            await go()
            results.cancel()
            await asyncio.wait([results])
        asyncio.run(main())
        """,
        # The second is submitted once the first is taken.
        2,
    ),
    "as_completed": (
        """
        for result in Client(**options).as_completed(JOBS, in_flight=3):
            taken(result)
            sys.stdin.readline()
            break
        """,
        3,
    ),
    "an_iterator_that_is_kept_to_the_end": (
        """
        results = Client(**options).map(JOBS, in_flight=3)
        taken(next(results))
        sys.stdin.readline()
        """,
        3,
    ),
}

WORDS = (
    r"^task (\S+) was submitted, and its result reached no caller; resume with: effects wait \1 --base-url "
)


def indented(body):
    return "\n".join(line.removeprefix(" " * 8) for line in body.splitlines())


def child(emulator, body, tasks, before=""):
    """Runs a script up to where it leaves its tasks, which are under way by then; its output."""
    command = [sys.executable, "-c", SCRIPT + before + indented(body), emulator.base_url, emulator.api_key]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as running:
        while emulator.counts["accepted"] < tasks and running.poll() is None:
            time.sleep(0.005)
        out, errors = running.communicate("go\n", timeout=60)
    assert running.returncode == 0, errors
    assert emulator.counts["accepted"] == tasks
    assert emulator.api_key not in out + errors
    assert "Traceback" not in errors
    return out, errors


def check(emulator, words, tasks, taken=()):
    """Each id is told once, and is that of a task, but for those whose results were taken."""
    logged = re.findall(WORDS + re.escape(emulator.base_url), words, re.MULTILINE)
    assert len(logged) == len(set(logged)) == tasks - len(taken), words
    assert not set(logged) & set(taken)
    for task in logged:
        assert words.count(f"task {task} ") == 1
        try:
            emulator.client().task(task).status()
        except TaskNotFound:
            pytest.fail(f"{task} is no task")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=RECENT if name in {"task_group", "timeout_around_map"} else ())
        for name in LONG
    ],
)
def test_a_run_that_is_cancelled_tells_the_ids_of_its_tasks_on_stderr(emulator, name):
    emulator.follow({"fault": [{"on": "create", "kind": "take", "seconds": 3600}]})
    body, tasks = LONG[name]
    _, errors = child(emulator, body, tasks)
    check(emulator, errors, tasks)


@pytest.mark.parametrize("name", ANSWERED)
def test_an_answered_task_whose_result_reached_no_caller_is_told(emulator, name):
    last = {"kind": "take", "seconds": 3600} if name == "all_of_an_async_map" else "finished"
    emulator.script("create", "finished", last, "finished")
    body, tasks = ANSWERED[name]
    out, errors = child(emulator, body, tasks)
    check(emulator, errors, tasks, [json.loads(line) for line in out.splitlines()])


@pytest.mark.parametrize("name", ["pending_at_the_end", "closed_loop", "loop_that_is_left", "gather"])
def test_an_id_that_comes_after_the_cancellation_is_told(emulator, name):
    """The gateway has accepted it, and its answer is not here yet."""
    emulator.follow({"fault": [{"on": "create", "kind": "slow", "seconds": 1}]})
    body, tasks = LONG[name]
    _, errors = child(emulator, body, tasks)
    check(emulator, errors, tasks)


PROCESS = """
import asyncio, multiprocessing, sys
EARLY

def work(base_url, key):
    from spark_effects import AsyncClient, _native

    async def main():
        client = AsyncClient(base_url=base_url, api_key=key, poll=0.01)
        running = asyncio.ensure_future(client.run("glass_ball", "https://example.com/0.jpg"))
        while not _native.submissions_under_way():
            await asyncio.sleep(0.001)
        running.cancel()
    asyncio.run(main())

if __name__ == "__main__":
    process = multiprocessing.get_context(sys.argv[3]).Process(target=work, args=sys.argv[1:3])
    process.start()
    process.join()
    sys.exit(process.exitcode)
"""


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("method", sorted(multiprocessing.get_all_start_methods()))
def test_a_child_of_multiprocessing_waits_for_its_submission(emulator, tmp_path, method, early):
    """It ends without `atexit`, but where it was spawned."""
    emulator.follow({"fault": [{"on": "create", "kind": "slow", "seconds": 1}]})
    script = tmp_path / "script.py"
    script.write_text(PROCESS.replace("EARLY", "import spark_effects" if early else ""))
    arguments = [sys.executable, "-W", "ignore", script, emulator.base_url, emulator.api_key, method]
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    check(emulator, ended.stderr, 1)


def test_a_fork_leaves_what_waits_in_a_loop_of_its_parent(emulator):
    emulator.follow({"fault": [{"on": "create", "kind": "take", "seconds": 3600}]})
    body = """
        import os
        async def main():
            asyncio.create_task(run())
            await go()
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        if os.fork() == 0:
            sys.stderr = sys.stdout
            sys.exit()
        os.wait()
        """
    out, errors = child(emulator, body, 1)
    check(emulator, errors, 1)
    assert "reached no caller" not in out


HANDLER = """
logging.basicConfig(stream=sys.stdout, format="%(name)s %(levelname)s\\n%(message)s")
"""


@pytest.mark.parametrize("slow", [False, True])
def test_a_handler_of_logging_gets_the_ids_and_stderr_does_not(emulator, slow):
    late = {"kind": "slow", "seconds": 1}
    emulator.follow({"fault": [{"on": "create", **(late if slow else {"kind": "take", "seconds": 3600})}]})
    body, tasks = LONG["gather"]
    out, errors = child(emulator, body, tasks, HANDLER)
    assert errors == ""
    assert out.count("spark_effects WARNING\n") == tasks
    check(emulator, out, tasks)


@pytest.mark.parametrize("slow", [False, True])
def test_with_a_journal_the_way_on_is_told_too(emulator, tmp_path, slow):
    late = [{"on": "create", "nth": n, "kind": "slow", "seconds": 1} for n in (2, 3)]
    emulator.follow({"fault": [*(late if slow else ()), {"on": "create", "kind": "finished"}]})
    journal = tmp_path / "run.db"
    body = f"""
        for result in Client(**options).map(JOBS, in_flight=3, journal={str(journal)!r}):
            taken(result)
            sys.stdin.readline()
            break
        """
    out, errors = child(emulator, body, 3)
    check(emulator, errors, 3, [json.loads(out)])
    assert f"effects resume --journal {journal}" in errors


def test_a_wait_for_a_task_whose_id_the_caller_gave_tells_nothing(emulator):
    emulator.follow({"fault": [{"on": "create", "kind": "take", "seconds": 3600}]})
    body = """
        async def main():
            task = await client.submit(*JOBS[0])
            waiting = asyncio.create_task(client.task(task.id).wait())
            await go()
            waiting.cancel()
            await asyncio.wait([waiting])
            results = client.map([task])
            looking = asyncio.create_task(results.all())
            await asyncio.sleep(0)
            looking.cancel()
            await asyncio.wait([looking])
        asyncio.run(main())
        """
    _, errors = child(emulator, body, 1)
    assert errors == ""
