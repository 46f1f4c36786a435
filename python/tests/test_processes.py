"""Clients, tasks, effects and errors in other processes and threads: pickled, forked, shared."""

import asyncio
import gc
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest
from conftest import URL

import spark_effects
from spark_effects import AsyncClient, Client


def work(client):
    return client.run("glass_ball", URL).task_id


def finish(task):
    return task.wait()


def fail(client):
    return client.task("no-such-task").status()


def in_a_fork(function):
    """What the function returns, run in a forked child."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = pickle.dumps(function())
        except BaseException as error:
            answer = pickle.dumps(error)
        os.write(writer, answer)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    return pickle.loads(answer)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
def test_a_client_works_after_a_fork(client, async_client, emulator, used):
    if used:
        work(client)
        asyncio.run(async_client.run("glass_ball", URL))
    task = client.submit("glass_ball", URL) if used else None
    assert isinstance(in_a_fork(lambda: work(client)), str)
    child = in_a_fork(lambda: asyncio.run(async_client.run("glass_ball", URL)))
    assert child.bytes()
    if task:
        assert in_a_fork(task.wait).task_id == task.id
    # And the parent goes on as before.
    assert work(client)
    if task:
        assert task.wait().task_id == task.id
    assert emulator.requests


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_threads_of_a_fork_that_ask_a_function_for_the_key_do_not_wait_for_each_other(emulator):
    meeting = threading.Barrier(1)

    def key():
        # It lets the other thread come, as a call to a vault does.
        meeting.wait(30)
        return emulator.api_key

    client = Client(base_url=emulator.base_url, api_key=key, poll=0.005)
    meeting = threading.Barrier(2)

    def work_in_threads():
        # Threads that wait for each other with the interpreter's lock answer nothing else.
        signal.alarm(20)
        with ThreadPoolExecutor(2) as pool:
            running = [pool.submit(work, client) for _ in range(2)]
            return [one.result() for one in running]

    assert len(set(in_a_fork(work_in_threads))) == 2


def in_forks(count, function):
    """Runs the function in so many forked children at once."""
    barrier = multiprocessing.get_context("fork").Barrier(count)
    children = []
    for _ in range(count):
        child = os.fork()
        if child == 0:
            try:
                barrier.wait(60)
                function()
            except BaseException as error:
                os.write(2, f"{error!r}\n".encode())
                os._exit(1)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * count


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forks_of_a_client_that_was_used_submit_under_names_of_their_own(client, emulator):
    work(client)
    in_forks(6, lambda: [work(client) for _ in range(100)])
    creates = [request for request in emulator.requests if request.method == "POST"]
    assert len(creates) == 601
    for name in ("idempotency-key", "x-request-id"):
        drawn = [value for create in creates for key, value in create.headers if key == name]
        assert len(drawn) == len(set(drawn)) == 601, name


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_of_forks_that_race_for_the_rows_of_a_journal_one_submits_each(emulator, tmp_path):
    client = emulator.client(poll=0.005, journal=tmp_path / "run.db")
    work(client)
    jobs = [("glass_ball", f"https://example.com/{n}.jpg") for n in range(30)]
    # A row that is another's to finish is told of, and so is no result here.
    in_forks(4, lambda: [result.ok for result in client.map(jobs, polls_per_second=1000)])
    assert emulator.counts["accepted"] == 1 + 30
    again = client.map(jobs, polls_per_second=1000)
    assert len({result.unwrap().task_id for result in again}) == 30
    assert emulator.counts["accepted"] == 1 + 30


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_in_the_middle_of_a_wait_disturbs_no_process(client, emulator):
    emulator.script("create", {"kind": "take", "seconds": 0.5})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(work, client)
        while not emulator.requests:
            pass
        assert isinstance(in_a_fork(lambda: work(client)), str)
        assert running.result()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_an_emulator_belongs_to_the_process_that_started_it(emulator):
    def touch():
        try:
            return emulator.requests
        except RuntimeError as error:
            emulator.stop()
            return str(error)

    assert "process that started it" in in_a_fork(touch)
    assert emulator.requests == []


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_process_pools(client, emulator, method):
    work(client)
    task = client.submit("glass_ball", URL)
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert len(set(pool.map(work, [client] * 4))) == 4
        assert pool.submit(finish, task).result().task_id == task.id
        with pytest.raises(spark_effects.TaskNotFound) as caught:
            pool.submit(fail, client).result()
        assert caught.value.task_id == "no-such-task"


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_journal_serves_parent_and_fork_and_each_row_is_paid_once(emulator, tmp_path):
    client = emulator.client(poll=0.005, journal=tmp_path / "run.db")
    jobs = [("glass_ball", f"https://example.com/{n}.jpg") for n in range(5)]

    def many():
        return [result.unwrap().task_id for result in client.map(jobs, polls_per_second=1000)]

    assert in_a_fork(many) == many() == in_a_fork(many)
    assert emulator.counts["accepted"] == 5


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("fails", [False, True])
def test_a_fork_knows_the_end_that_its_parent_saw(client, emulator, fails):
    emulator.script("create", *[{"kind": "fail", "code": "3009095"}] * fails)
    task = client.submit("glass_ball", URL)

    def end():
        try:
            return task.wait(fetch=False).task_id
        except spark_effects.TaskFailed as error:
            return str(error)

    seen, asked = end(), len(emulator.requests)
    assert in_a_fork(end) == seen
    # A grandchild's is the child's.
    assert in_a_fork(lambda: (end(), in_a_fork(end))) == (seen, seen)
    assert len(emulator.requests) == asked
    other = client.submit("glass_ball", URL)
    assert in_a_fork(other.wait).task_id == other.id
    assert other.wait().task_id == other.id


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_lets_go_of_what_its_parent_waits_for(emulator):
    client = emulator.client(poll=0.005, budget="0.03")
    emulator.script("create", {"kind": "take", "seconds": 0.5})
    held = [client, client.submit("glass_ball", URL)]
    # It waits for the cost of the first.
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(client.submit, "glass_ball", URL)
        del client
        assert in_a_fork(lambda: (held.clear(), gc.collect())[0]) is None
        with pytest.raises(spark_effects.BudgetExceeded):
            waits.result()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_what_a_parent_follows_is_the_parent_s_to_follow(client, emulator):
    emulator.follow({"fault": [{"on": "create", "kind": "take", "seconds": 0.5}]})
    results = client.as_completed([("glass_ball", URL)] * 3)
    task = client.submit("glass_ball", URL)
    events = task.events()
    next(events)

    def touch(iterator):
        signal.alarm(30)
        try:
            return next(iterator)
        except RuntimeError as error:
            return str(error)

    assert "process that began" in in_a_fork(lambda: touch(results))
    assert "process that began" in in_a_fork(lambda: touch(events))
    assert in_a_fork(lambda: results.stop()) is None
    assert [result.ok for result in results] == [True] * 3
    assert {event.task_id for event in events} <= {task.id}
    assert task.wait().task_id == task.id


FORKS = """
import os, signal, sys
import spark_effects

client = spark_effects.Client(base_url=sys.argv[1], api_key=sys.argv[2], poll=0.01)
results = client.as_completed([("glass_ball", "https://example.com/cat.jpg")] * 3)
child = os.fork()
if child == 0:
    signal.alarm(30)
    sys.exit(0)
print(os.waitpid(child, 0)[1], [result.ok for result in results])
"""


def test_a_child_that_ends_like_any_program_stops_nothing_of_its_parent_s(emulator):
    emulator.follow({"fault": [{"on": "create", "kind": "take", "seconds": 0.5}]})
    arguments = [sys.executable, "-W", "ignore", "-c", FORKS, emulator.base_url, emulator.api_key]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=90)
    assert done.stdout == "0 [True, True, True]\n", done.stderr
    assert done.stderr == ""


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_while_journals_are_written_hangs_in_no_child_and_loses_nothing(emulator, tmp_path):
    client = emulator.client(poll=0.005, journal=tmp_path / "run.db")
    stop, done = threading.Event(), []

    def write():
        while not stop.is_set():
            done.append(work(client))

    def in_time():
        signal.alarm(60)
        return work(client)

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(write) for _ in range(3)]
        try:
            children = [in_a_fork(in_time) for _ in range(12)]
        finally:
            stop.set()
        for one in running:
            one.result()
    listed = subprocess.run(
        [sys.executable, "-m", "spark_effects", "tasks", "--journal", tmp_path / "run.db", "--json"],
        capture_output=True,
        text=True,
    )
    rows = [json.loads(line) for line in listed.stdout.splitlines()]
    assert {row["task_id"] for row in rows} == {*children, *done}, listed.stderr


def test_parallel_threads_share_a_client(client, emulator):
    barrier = threading.Barrier(8)

    def many():
        barrier.wait()
        return [work(client) for _ in range(5)]

    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(many) for _ in range(8)]
        ids = {task for one in found for task in one.result()}
    assert len(ids) == emulator.counts["accepted"] == 40


def test_loops_in_parallel_threads_share_a_client(async_client):
    async def main():
        return await asyncio.gather(*(async_client.run("glass_ball", URL) for _ in range(5)))

    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(lambda: asyncio.run(main())) for _ in range(4)]
        assert len({effect.task_id for one in found for effect in one.result()}) == 20


def test_methods_travel_by_their_names(client):
    task = client.task("abc")
    for method in (
        client.run,
        client.map,
        task.wait,
        Client.submit,
        AsyncClient.as_completed,
        spark_effects.Task.events,
    ):
        again = pickle.loads(pickle.dumps(method))
        assert again.__qualname__ == method.__qualname__
        assert method.__qualname__.split(".")[0] in spark_effects.__all__


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_key_of_the_environment_stays_there(emulator, monkeypatch, kind):
    monkeypatch.setenv("EFFECTS_API_KEY", emulator.api_key)
    monkeypatch.setenv("EFFECTS_BASE_URL", emulator.base_url)
    client = kind(poll=0.005, wait_timeout=7)
    pickled = pickle.dumps(client)
    assert emulator.api_key.encode() not in pickled
    monkeypatch.delenv("EFFECTS_BASE_URL")
    again = pickle.loads(pickled)
    assert again == client
    assert again.base_url == emulator.base_url, "a gateway travels, or the bill would go elsewhere"
    monkeypatch.delenv("EFFECTS_API_KEY")
    with pytest.raises(spark_effects.AuthError):
        pickle.loads(pickled)


def test_a_key_that_was_given_travels(emulator, client):
    pickled = pickle.dumps(client)
    assert emulator.api_key.encode() in pickled
    assert work(pickle.loads(pickled))
    assert pickle.loads(pickle.dumps(client.task("abc"))) == client.task("abc")


AT_THE_END = """
import builtins, os, sys
from spark_effects import Emulator

emulator = Emulator(pictures="stub")
client = emulator.client(poll=0.005)
task = client.submit("glass_ball", "https://example.com/cat.jpg")
results = client.map([("glass_ball", "https://example.com/cat.jpg")])
calls = {
    "run": lambda: client.run("glass_ball", "https://example.com/cat.jpg"),
    "photo": lambda: client.run("glass_ball", b"no photo"),
    "submit": lambda: client.submit("glass_ball", "https://example.com/cat.jpg"),
    "map": lambda: client.map([("glass_ball", "https://example.com/cat.jpg")]),
    "next": lambda: next(results),
    "status": lambda: task.status(),
    "events": lambda: task.events(),
}


class Last:
    def __init__(self, call, write=os.write):
        self.call, self.write = call, write

    def __del__(self):
        try:
            self.call()
            self.write(1, b"it was done")
        except RuntimeError as error:
            self.write(1, str(error).encode())


# What a module holds goes too early: some of it is let go of while Python still works.
last = Last(calls[sys.argv[1]])
WHERE
del last
"""
PLACES = {
    "builtins": "builtins.last = last",
    "sys": "sys.last = last",
    "modules": "sys.modules['last'] = last",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("call", ["run", "photo", "submit", "map", "next", "status", "events"])
def test_a_call_while_the_interpreter_shuts_down_is_a_runtime_error(place, call):
    code = AT_THE_END.replace("WHERE", PLACES[place])
    done = subprocess.run([sys.executable, "-c", code, call], capture_output=True, text=True, timeout=60)
    assert done.stdout == "the interpreter is shutting down: nothing was sent; use atexit for last calls"
    assert "panicked" not in done.stderr
    assert done.returncode == 0
