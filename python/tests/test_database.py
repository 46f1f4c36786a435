"""A client's journal in Postgres: the same as in a file, for many machines."""

import multiprocessing
import subprocess
import sys

import pytest
from conftest import PASSWORD, URL

import spark_effects

QUICK = {"polls_per_second": 5000}


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("EFFECTS_STATE_DIR", str(tmp_path / "state"))


def jobs(name, count):
    return [spark_effects.Job("glass_ball", f"https://example.com/{name}{n}.jpg") for n in range(count)]


def test_what_one_process_paid_for_another_does_not_pay_for_again(emulator, database):
    for _ in range(2):
        client = emulator.client(poll=0.005, journal=database)
        results = list(client.map(jobs("once", 8), **QUICK))
        assert all(result.ok for result in results)
        client.close()
    assert emulator.counts["accepted"] == 8
    with emulator.client(poll=0.005) as client:
        results = list(client.map(jobs("once", 8), journal=database, **QUICK))
        assert all(result.ok for result in results)
    assert emulator.counts["accepted"] == 8


def test_a_wait_records_the_end_in_the_database(emulator, database):
    with emulator.client(poll=0.005, journal=database) as client:
        task = client.submit("glass_ball", URL)
        task.wait()
    line = ["tasks", "--json", "--journal", database]
    ran = subprocess.run([sys.executable, "-m", "spark_effects", *line], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert task.id in ran.stdout
    assert '"completed"' in ran.stdout
    assert PASSWORD not in ran.stdout + ran.stderr


def test_no_password_is_told(emulator, database, caplog):
    gone = f"postgres://me:{PASSWORD}@127.0.0.1:1/photos"
    with emulator.client(poll=0.005, journal=gone) as client:
        with pytest.raises(spark_effects.EffectsError) as raised:
            client.run("glass_ball", URL)
        assert "postgres://me@127.0.0.1:1/photos" in str(raised.value)
        assert PASSWORD not in str(raised.value) + repr(client) + caplog.text
    assert emulator.counts["accepted"] == 0


def test_an_order_has_one_budget_in_all_hands(emulator, database):
    """Two clients, as on two machines, with rows of their own: one scope, and so one budget."""
    order = {"budget": "0.30", "price": "0.03", "scope": " an order ", "journal": database, **QUICK}
    results = []
    for hand in ("left", "right"):
        with emulator.client(poll=0.005) as client:
            results += client.map(jobs(f"order-{hand}", 7), **order)
    over = [result.error for result in results if not result.ok]
    assert len(over) == 4
    assert all(isinstance(error, spark_effects.BudgetExceeded) for error in over), over
    assert emulator.counts["accepted"] == 10
    assert str(emulator.spent) == "0.30"
    # Another order has a budget of its own, and numbers its jobs from 1 as well.
    with emulator.client(poll=0.005) as client:
        for scope in ("an order", "another order"):
            one = spark_effects.Job("glass_ball", f"https://example.com/{len(scope)}.jpg", key="1")
            result = next(client.map([one], **{**order, "scope": scope, "budget": "9"}))
            assert result.ok, result
    assert emulator.counts["accepted"] == 12


def test_a_scope_that_cannot_be_shared_is_refused(emulator, database):
    cases = [
        ({}, {"scope": "spring"}, "give journal="),
        ({"budget": "1"}, {"scope": "spring", "journal": database}, "give budget= to this call"),
        ({}, {"scope": "  ", "journal": database}, "give the order a name"),
    ]
    for options, order, rule in cases:
        with emulator.client(**options) as client, pytest.raises(spark_effects.InvalidRequest, match=rule):
            list(client.map(jobs("refused", 1), **order))
    with emulator.client() as client, pytest.raises(TypeError, match="scope is 7: give text"):
        client.map(jobs("refused", 1), scope=7, journal=database)
    assert emulator.counts["accepted"] == 0


def submit(options, names, answers):
    with spark_effects.Client(**options) as client:
        done = [result.ok for result in client.map(jobs(names, 10), **QUICK)]
    answers.put(sum(done))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_share_the_journal(emulator, database, method):
    context = multiprocessing.get_context(method)
    options = {
        "base_url": emulator.base_url,
        "api_key": emulator.api_key,
        "poll": 0.01,
        "journal": database,
    }
    # Open in the parent, whose connection no child may use.
    with spark_effects.Client(**options) as parent:
        parent.run("glass_ball", f"https://example.com/{method}.jpg")
        answers = context.Queue()
        workers = [context.Process(target=submit, args=(options, method, answers)) for _ in range(3)]
        for worker in workers:
            worker.start()
        assert [answers.get(timeout=60) for _ in workers] == [10, 10, 10]
        for worker in workers:
            worker.join()
        parent.run("my_world", f"https://example.com/{method}.jpg")
    assert emulator.counts["accepted"] == 12
