"""Photos of many jobs: uploaded side by side, in order, and no further ahead than is asked for."""

import asyncio
import itertools
import json
import os
import pathlib
import re
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request

import pytest
from conftest import PHOTO

import spark_effects

QUICK = {"polls_per_second": 5000}

# Notes that it runs, waits until so many have run, and prints where the photo is.
UPLOADER = """#!{python}
import os, pathlib, sys, time
folder, together = pathlib.Path({folder!r}), {together}
name = pathlib.Path(sys.argv[1]).name
live = folder / "live" / str(os.getpid())
live.touch()
(folder / "log" / (str(time.time_ns()) + "." + str(len(os.listdir(folder / "live"))))).write_text(name)
for _ in range(3000):
    if len(os.listdir(folder / "log")) >= together:
        break
    time.sleep(0.01)
else:
    sys.exit("the others do not come")
live.unlink()
print("https://example.com/" + name)
"""


class Uploads:
    """A program that uploads nothing, and what it noted."""

    def __init__(self, folder, together):
        (folder / "live").mkdir()
        (folder / "log").mkdir()
        self.log = folder / "log"
        program = folder / "upload"
        program.write_text(UPLOADER.format(python=sys.executable, folder=str(folder), together=together))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.option = f"command={program}"

    def names(self):
        return [path.read_text() for path in sorted(self.log.iterdir())]

    def widest(self):
        return max(int(path.name.split(".")[1]) for path in self.log.iterdir())


@pytest.fixture
def photos(tmp_path):
    """Photos that differ, named in order."""
    folder = tmp_path / "photos"
    folder.mkdir()
    paths = [folder / f"{n:02}.png" for n in range(12)]
    for n, path in enumerate(paths):
        # What comes after its end belongs to no picture.
        path.write_bytes(PHOTO.read_bytes() + bytes([n]))
    return paths


def asked_for(emulator):
    creates = [seen for seen in emulator.requests if seen.endpoint == "create"]
    params = [json.loads(seen.body)["input"][0]["params"] for seen in creates]
    return [one["image_input1"].rsplit("/", 1)[1] for one in params]


def test_as_many_photos_are_uploaded_at_once_as_may_be_submitted(emulator, tmp_path, photos):
    uploads = Uploads(tmp_path, together=3)
    client = emulator.client(poll=0.005, uploads=uploads.option)
    jobs = [("glass_ball", photo) for photo in photos]
    results = client.map(jobs, submissions=3, fetch=False, **QUICK).all()
    assert all(result.ok for result in results), results
    assert uploads.widest() == 3
    assert sorted(asked_for(emulator)) == [photo.name for photo in photos]


def test_one_at_a_time_they_are_uploaded_and_submitted_in_order(emulator, tmp_path, photos):
    uploads = Uploads(tmp_path, together=1)
    client = emulator.client(poll=0.005, uploads=uploads.option)
    jobs = [("glass_ball", photo) for photo in photos]
    list(client.as_completed(jobs, submissions=1, in_flight=1, fetch=False, **QUICK))
    assert uploads.widest() == 1
    assert uploads.names() == asked_for(emulator) == [photo.name for photo in photos]


def test_one_photo_of_many_jobs_is_uploaded_once(emulator, tmp_path, photos):
    uploads = Uploads(tmp_path, together=1)
    client = emulator.client(poll=0.005, uploads=uploads.option)
    jobs = [(template, photos[0]) for template in spark_effects.templates()[:8]]
    assert all(result.ok for result in client.map(jobs, fetch=False, **QUICK))
    assert uploads.names() == ["00.png"]


def test_photos_are_drawn_no_further_ahead_than_may_be_submitted(emulator, tmp_path, photos):
    drawn = []

    def jobs():
        for photo in itertools.cycle(photos):
            drawn.append(photo)
            yield ("glass_ball", photo)

    emulator.script("create", *([{"kind": "take", "seconds": 3600}] * 2))
    uploads = Uploads(tmp_path, together=1)
    client = emulator.client(poll=0.005, uploads=uploads.option)
    results = client.as_completed(jobs(), submissions=2, in_flight=2, fetch=False, **QUICK)
    while emulator.counts["accepted"] < 2:
        time.sleep(0.005)
    # Two that run, two in the queue, and one in each hand.
    assert len(drawn) <= 6
    results.stop()
    assert [result.ok for result in results] == [False, False]


def test_no_job_waits_for_one_that_comes_of_an_earlier_result(emulator, client, photos):
    first = threading.Event()

    def jobs():
        yield ("glass_ball", photos[0])
        assert first.wait(30), "the first is held up"
        yield ("glass_ball", photos[1])

    results = client.map(jobs(), submissions=4, **QUICK)
    assert next(results).ok
    first.set()
    assert next(results).ok


def test_an_upload_that_fails_is_its_job_s_alone(emulator, client, photos, tmp_path):
    journal = tmp_path / "run.db"
    emulator.script("upload", {"kind": "status", "status": 404})
    jobs = [("glass_ball", photo) for photo in photos[:4]]
    results = list(client.map(jobs, submissions=1, journal=journal, **QUICK))
    assert [result.ok for result in results] == [False, True, True, True]
    again = list(client.map(jobs, journal=journal, **QUICK))
    assert all(result.ok for result in again)
    assert emulator.counts["accepted"] == 4


def test_uploads_cost_nothing_of_the_budget(emulator, photos):
    client = emulator.client(poll=0.005)
    jobs = [("glass_ball", photo) for photo in photos]
    results = list(client.map(jobs, budget="0.09", **QUICK))
    assert [result.ok for result in results].count(True) == 3 == emulator.counts["accepted"]


def test_ctrl_c_is_answered_while_photos_are_uploaded(emulator, tmp_path, photos):
    program = textwrap.dedent(
        f"""
        import sys, time
        from spark_effects import Client
        client = Client(base_url={emulator.base_url!r}, api_key={emulator.api_key!r})
        jobs = [("glass_ball", photo) for photo in sys.argv[1:]]
        print("ready", flush=True)
        try:
            list(client.map(jobs))
        except KeyboardInterrupt:
            print(time.monotonic(), flush=True)
        """
    )
    emulator.script("upload", *([{"kind": "hang", "seconds": 60}] * len(photos)))
    child = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, photos)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    assert child.stdout.readline() == "ready\n"
    while len([seen for seen in emulator.requests if seen.endpoint == "upload"]) < 4:
        time.sleep(0.005)
    sent = time.monotonic()
    child.send_signal(signal.SIGINT)
    answered = float(child.stdout.readline())
    assert answered - sent < 5, "the uploads hang for a minute"
    child.wait(timeout=30)
    assert emulator.counts["accepted"] == 0


def uploaded(emulator):
    """The photos that were submitted, in their order: what a gateway would fetch."""
    creates = [json.loads(seen.body) for seen in emulator.requests if seen.endpoint == "create"]
    urls = [re.search(r"http://[^\"]+", json.dumps(body))[0] for body in creates]
    return [urllib.request.urlopen(url).read() for url in urls]


def test_a_photo_that_is_replaced_while_it_waits_is_uploaded_as_it_was_hashed(
    emulator, client, photos, tmp_path
):
    journal, changed = tmp_path / "run.db", photos[2]
    before = [photo.read_bytes() for photo in photos[:3]]
    # The first upload holds up the others, which are drawn and hashed meanwhile.
    emulator.script("upload", {"kind": "slow", "seconds": 1})

    def jobs():
        for photo in photos[:3]:
            yield ("glass_ball", photo)
        # All three are read by now.
        changed.write_bytes(photos[3].read_bytes())

    assert all(result.ok for result in client.map(jobs(), submissions=1, journal=journal, **QUICK))
    assert uploaded(emulator) == before

    # Each row is known by the photo that was sent: with that back in its place nothing is paid again.
    changed.write_bytes(before[2])
    again = client.map([("glass_ball", photo) for photo in photos[:3]], journal=journal, **QUICK)
    assert all(result.ok for result in again)
    assert emulator.counts["accepted"] == 3


CALLS = {
    "run": lambda client, photo: client.run("glass_ball", photo),
    "submit": lambda client, photo: client.submit("glass_ball", photo).wait(),
    "upload": lambda client, photo: client.run("glass_ball", client.upload(photo)),
    "map": lambda client, photo: next(client.map([("glass_ball", photo)], **QUICK)).unwrap(),
    "job": lambda client, photo: next(client.map([spark_effects.Job("glass_ball", photo, key="a")])).unwrap(),
}


@pytest.mark.skipif(not pathlib.Path("/dev/zero").exists(), reason="needs the devices of Unix")
def test_no_pipe_and_no_device_holds_many_jobs_up(emulator, tmp_path, photos):
    """Nothing is ever written to the pipe, and the device never ends."""
    os.mkfifo(tmp_path / "pipe.png")
    odd = os.fsdecode(b"ca\xfft.png")
    (tmp_path / odd).write_bytes(photos[0].read_bytes())
    given = [photos[0], "/dev/zero", tmp_path / "pipe.png", tmp_path / odd, photos[0]]
    results = emulator.client(poll=0.005).map([("glass_ball", photo) for photo in given]).all()
    assert [result.ok for result in results] == [True, False, False, True, True]
    assert "shrink it" in str(results[1].error)
    assert "pipe.png is no regular file" in str(results[2].error)


def test_a_pipe_that_nothing_writes_to_is_refused(emulator, tmp_path):
    """All at once, since each waits for a writer for a while."""
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    client = emulator.client(poll=0.005)
    said = []

    def refused(call):
        try:
            said.append(str(call()))
        except spark_effects.EffectsError as error:
            said.append(str(error))

    async def run():
        return await emulator.async_client(poll=0.005).run("glass_ball", pipe)

    calls = [
        lambda: [violation.message for violation in client.check("glass_ball", pipe)],
        lambda: client.run("glass_ball", pipe),
        lambda: client.submit("glass_ball", pipe),
        lambda: client.upload(pipe),
        lambda: asyncio.run(run()),
    ]
    threads = [threading.Thread(target=refused, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    found = [text for text in said if "pipe.png is no regular file, and nothing opened it for 10 s" in text]
    assert len(found) == len(calls), said
    assert emulator.counts["accepted"] == 0


@pytest.mark.parametrize("awaits", [False, True])
@pytest.mark.parametrize("call", CALLS)
def test_a_photo_is_read_once(emulator, tmp_path, photos, call, awaits):
    """Under a budget and with a journal, too. A pipe can be read once, and once alone."""
    pipe, content = tmp_path / "pipe", photos[0].read_bytes()
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    options = {"poll": 0.005, "journal": tmp_path / "run.db", "budget": "1"}
    if awaits:
        client = emulator.async_client(**options)

        async def main():
            if call in ("map", "job"):
                (result,) = await client.map([("glass_ball", pipe)], **QUICK).all()
                return result.unwrap()
            if call == "submit":
                return await (await client.submit("glass_ball", pipe)).wait()
            photo = await client.upload(pipe) if call == "upload" else pipe
            return await client.run("glass_ball", photo)

        effect = asyncio.run(main())
    else:
        effect = CALLS[call](emulator.client(**options), pipe)
    writer.join()
    assert effect.task_id
    assert uploaded(emulator) == [content]
