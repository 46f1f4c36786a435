"""Rows spread over the processes of a Dask cluster by a pickled `Client`, each done there by `picture`.
For programs that run on Dask already: ``python examples/dask_batch.py``.

A client travels to the workers by pickling, and that is all there is to it. Dask schedules and moves
the rows; the one journal that all of them share keeps the money safe. Dask runs a row again whenever
it loses the worker that had it, and the journal then picks up the task that was paid for instead of
paying for another.

It runs on this machine with no key, no network and no bill. Against the service the client is
``Client()``, and its key is in the environment of the workers: it does not travel.

It needs ``pip install distributed``.
"""

# Dask tells the types of its own functions only in part.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import tempfile
from pathlib import Path

from distributed import Client as Dask
from distributed import LocalCluster, as_completed

from spark_effects import Client, Emulator, Job, Result

PHOTO = Path(__file__).with_name("chelsea.png")
LOOKS = ["glass_ball", "my_world", "felt_keychain", "angel_figurine", "birthday_photo_red"]


def picture(client: Client, job: Job, journal: str) -> Result:
    """One row, on a worker: done, picked up, or found done already."""
    return next(iter(client.map([job], journal=journal)))


def main() -> None:
    """Every look of one photo in three sizes."""
    jobs = [
        Job(look, PHOTO, width=side, height=side, key=f"{look}-{side}")
        for look in LOOKS
        for side in (512, 640, 768)
    ]
    with (
        tempfile.TemporaryDirectory() as folder,
        Emulator(latency="1s..2s") as emulator,
        LocalCluster(n_workers=2, threads_per_worker=4) as cluster,
        Dask(cluster) as dask,
    ):
        client = emulator.client()
        journal = str(Path(folder) / "run.db")
        rows = [dask.submit(picture, client, job, journal, key=f"effect-{job.key}") for job in jobs]
        for row in as_completed(rows):
            effect = row.result().unwrap()
            print(effect.template, effect.task_id, effect.usage.cost)
        print(f"{emulator.counts['accepted']} tasks, {emulator.spent} USD")


if __name__ == "__main__":
    main()
