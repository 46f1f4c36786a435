"""Rows spread over the processes of a Dask cluster with one shared journal: each is paid for once."""

import importlib
import os
import signal
import time

import pytest
from conftest import ROOT

import spark_effects
from spark_effects import Emulator, Job

distributed = pytest.importorskip("distributed", reason="pip install -r python/tests/requirements.txt")

ROWS = 40


@pytest.fixture
def module(monkeypatch):
    """The example."""
    monkeypatch.syspath_prepend(ROOT / "examples")
    return importlib.import_module("dask_batch")


@pytest.fixture
def cluster(module):
    """Three processes, which look for modules where this one does."""
    with (
        distributed.LocalCluster(n_workers=3, threads_per_worker=4, dashboard_address=None) as cluster,
        distributed.Client(cluster) as dask,
    ):
        yield dask


def spread(dask, module, emulator, journal, name):
    client = emulator.client(poll=0.05, wait_timeout=60)
    jobs = [Job("glass_ball", f"https://example.com/{number}.jpg") for number in range(ROWS)]
    return [
        dask.submit(module.picture, client, job, str(journal), key=f"{name}-{number}")
        for number, job in enumerate(jobs)
    ]


def gathered(dask, rows):
    """The results in order; a row that never ends fails the test instead of hanging it."""
    distributed.wait(rows, timeout=60)
    return dask.gather(rows)


def test_a_client_travels_and_each_row_is_paid_once(cluster, module, tmp_path):
    with Emulator(pictures="stub", latency="50ms..150ms") as emulator:
        rows = spread(cluster, module, emulator, tmp_path / "run.db", "first")
        results = gathered(cluster, rows)
        assert all(result.ok and result.effect.bytes() for result in results)
        workers = cluster.who_has(rows).values()
        assert len({worker for holders in workers for worker in holders}) > 1, "several took part"
        assert sorted(emulator.counts["by_body"].values()) == [1] * ROWS
        # Again, under names that Dask has not seen: found in the journal, and nothing is sent.
        again = spread(cluster, module, emulator, tmp_path / "run.db", "again")
        ids = [result.unwrap().task_id for result in gathered(cluster, again)]
        assert ids == [result.effect.task_id for result in results]
        assert emulator.counts["creates_seen"] == ROWS


def test_a_killed_worker_costs_nothing_twice(cluster, module, tmp_path):
    # Answers to submissions take their time, so that some are under way whenever the worker dies.
    slow = {"fault": [{"on": "create", "every": 1, "kind": "slow", "seconds": 0.05}]}
    with Emulator(pictures="stub", latency="200ms..600ms", faults=slow) as emulator:
        processes = cluster.run(os.getpid)
        rows = spread(cluster, module, emulator, tmp_path / "run.db", "killed")
        limit = time.monotonic() + 60
        while emulator.counts["accepted"] < ROWS // 4:
            assert time.monotonic() < limit, emulator.counts
            time.sleep(0.01)
        working = [worker for worker, rows in cluster.processing().items() if rows]
        os.kill(processes[working[0]], signal.SIGKILL)
        results = gathered(cluster, rows)

        assert len(results) == ROWS
        doubtful = [result for result in results if not result.ok]
        for result in doubtful:
            # It was on its way when its process died: listed, and for a person to look into.
            assert isinstance(result.error, spark_effects.OutcomeUnknown), result
            assert "effects resolve" in str(result.error)
        assert len(doubtful) < ROWS // 2
        paid = emulator.counts["by_body"]
        assert set(paid.values()) == {1}, "no row is paid for twice"
        assert ROWS - len(doubtful) <= len(paid) <= ROWS
        assert emulator.counts["creates_seen"] <= ROWS
