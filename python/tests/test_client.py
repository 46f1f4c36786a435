"""The blocking client, from a photo to a picture."""

import asyncio
import datetime
import gc
import io
import json
import threading
import time
from decimal import Decimal

import pytest
from conftest import PHOTO, URL

import spark_effects
from spark_effects import Backoff, Client, Emulator, Pace, Policy, Template


def creates(emulator):
    return [seen for seen in emulator.requests if seen.endpoint == "create"]


def params(emulator):
    return json.loads(creates(emulator)[-1].body)["input"][0]["params"]


def test_three_lines_give_a_picture_of_the_size_asked_for():
    with Emulator() as emulator:
        effect = emulator.client(poll=0.02).run("glass_ball", PHOTO, width=512, height=640)
    image = effect.image()
    assert image.size == (512, 640)
    assert effect.usage.cost == Decimal("0.03")
    assert "local_stand_in" in effect.metadata
    assert effect.raw["id"] == effect.task_id
    assert effect.pictures[0].size == len(effect.bytes())
    assert effect.template == "glass_ball"
    assert effect.elapsed > 0


def test_what_is_asked_arrives_letter_for_letter(client, emulator):
    client.run(Template.SPRING_FESTIVAL_RED_WALL, URL, height=2048)
    assert params(emulator) == {
        "image_input1": URL,
        "template_id": "Spring_Festival_traditional_Chinese_architecture",
        "height": 2048,
    }


@pytest.mark.parametrize("form", ["str", "path", "bytes", "file", "pil", "palette", "rgb", "rgba"])
def test_a_photo_in_every_form_is_uploaded_and_painted(form):
    import numpy
    from PIL import Image

    whole = Image.open(PHOTO).convert("RGB")
    images = {
        "str": lambda: str(PHOTO),
        "path": lambda: PHOTO,
        "bytes": PHOTO.read_bytes,
        "file": lambda: io.BytesIO(PHOTO.read_bytes()),
        "pil": lambda: whole,
        "palette": lambda: whole.convert("P"),
        "rgb": lambda: numpy.asarray(whole),
        "rgba": lambda: numpy.asarray(whole.convert("RGBA"))[::2, ::2],
    }
    with Emulator() as emulator:
        effect = emulator.client(poll=0.02).run("my_world", images[form](), width=512, height=512)
        assert effect.image().size == (512, 512)
        assert [seen.endpoint for seen in emulator.requests].count("upload") == 1


def test_pixels_arrive_as_they_were(client):
    import numpy
    from PIL import Image

    pixels = numpy.arange(24 * 32 * 3, dtype="uint8").reshape(24, 32, 3)
    url = client.upload(pixels)
    import urllib.request

    with urllib.request.urlopen(url) as answer:
        uploaded = Image.open(io.BytesIO(answer.read()))
        assert (numpy.asarray(uploaded) == pixels).all()


@pytest.mark.parametrize("bad", [object(), 3, io.StringIO("text")])
def test_what_is_no_image_is_refused_with_the_choices(client, emulator, bad):
    with pytest.raises(TypeError, match="image"):
        client.run("glass_ball", bad)
    assert emulator.requests == []


def test_check_finds_everything_and_sends_nothing(client, emulator, tmp_path):
    text = tmp_path / "not-a-photo.png"
    text.write_text("hello")
    found = client.check("glas_ball", text, width=100, height=4096)
    assert [rule.code for rule in found] == ["3009003", "3009004", "3009004", None]
    assert found[0].suggestions == ("glass_ball",)
    assert [rule.field for rule in found[1:3]] == ["width", "height"]
    assert "not a picture" in found[3].message
    assert client.check("glass_ball", PHOTO) == []
    assert emulator.requests == []


def test_an_unlisted_template_is_possible_on_purpose_only(client, emulator):
    with pytest.raises(spark_effects.InvalidRequest) as caught:
        client.run("moon_base", URL)
    assert caught.value.code == "3009003"
    assert creates(emulator) == []
    with pytest.raises(spark_effects.TaskFailed):
        client.run(Template.unlisted("moon_base"), URL)
    assert params(emulator)["template_id"] == "moon_base"


def test_submit_then_events_then_wait(emulator):
    client = emulator.client(poll=0.005)
    emulator.script("create", {"kind": "take", "seconds": 1})
    task = client.submit("glass_ball", URL)
    events = list(task.events())
    assert {event.kind for event in events} == {"running"}
    assert all(event.task_id == task.id for event in events)
    assert "in_progress" in str(events[0])
    looks = len(emulator.requests)
    assert task.wait(fetch=False).task_id == task.id
    assert len(emulator.requests) == looks, "the end was seen already"
    status = task.status()
    assert (status.status, status.done) == ("completed", True)
    assert status.created_at.tzinfo is not None


def test_events_know_what_ended_them(client, emulator, async_client):
    emulator.script("create", {"kind": "take", "seconds": 1})
    events = client.submit("glass_ball", URL).events()
    assert next(events).kind == "running"
    effect = events.finish()
    assert effect.bytes()
    assert list(events) == []
    assert events.finish(fetch=False).task_id == effect.task_id

    emulator.script("create", {"kind": "take", "seconds": 3600})
    task = client.submit("glass_ball", URL)
    events = task.events(policy=Policy(poll=0.01, wait_timeout=0.5))
    # On a busy machine a look may not be answered before the wait ends.
    assert {event.kind for event in events} - {"retrying"} == {"running"}
    looks = len(emulator.requests)
    for _ in range(2):
        with pytest.raises(spark_effects.WaitTimeout) as caught:
            events.finish()
        assert caught.value.task_id == task.id
    assert len(emulator.requests) == looks, "that wait was over"

    async def awaited():
        events = async_client.task(effect.task_id).events()
        async for event in events:
            raise AssertionError(event)
        return await events.finish()

    assert asyncio.run(awaited()).bytes() == effect.bytes()


def looks(emulator):
    return sum(request.method == "GET" for request in emulator.requests)


def looks_that_stay(emulator):
    """How many looks there were once no more come for a while."""
    seen, since = looks(emulator), time.monotonic()
    until = since + 30
    while time.monotonic() - since < 0.5:
        assert time.monotonic() < until, "it is looked at without end"
        time.sleep(0.01)
        if looks(emulator) != seen:
            seen, since = looks(emulator), time.monotonic()
    return seen


def test_a_task_is_looked_at_one_event_ahead_of_its_reader_and_not_once_he_left(emulator):
    client = emulator.client(poll=0.005)
    emulator.script("create", {"kind": "take", "seconds": 3600})
    events = client.submit("glass_ball", URL).events()
    assert looks_that_stay(emulator) == 0, "nothing was read"
    for read in range(1, 4):
        assert next(events).kind == "running"
        assert looks_that_stay(emulator) == read + 1
    del events
    gc.collect()
    assert looks_that_stay(emulator) == 4


def test_several_readers_get_each_event_once_and_the_end_each(client, emulator):
    emulator.script("create", {"kind": "take", "seconds": 1})
    events, found = client.submit("glass_ball", URL).events(), []
    readers = [threading.Thread(target=lambda: found.extend(events)) for _ in range(3)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(30)
    assert not any(reader.is_alive() for reader in readers)
    assert len(found) == looks(emulator) - 1, "the last look showed the end"
    assert events.finish(fetch=False).pictures


def test_a_reader_of_events_who_stops_waiting_loses_none(emulator, async_client):
    async def main():
        emulator.script("create", {"kind": "take", "seconds": 3600})
        task = await async_client.submit("glass_ball", URL)
        events = task.events(policy=Policy(poll=1))
        assert (await anext(events)).kind == "running"
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(events), 0.01)
        assert (await anext(events)).kind == "running"
        assert looks(emulator) == 2
        # The events pass only as long as the end is waited for.
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(events.finish(), 0.1)
        assert (await anext(events)).kind == "running"

    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_task_is_picked_up_by_its_id(client):
    task = client.submit("glass_ball", URL)
    again = client.task(task.id)
    assert again == task
    assert again.wait().task_id == task.id
    assert again.resume_line == f"effects wait {task.id} --base-url {client.base_url}"


def test_an_effect_not_fetched_is_fetched_by_the_client(client, tmp_path):
    effect = client.run("glass_ball", URL, fetch=False)
    assert not effect.pictures[0].fetched
    with pytest.raises(ValueError, match="not fetched"):
        effect.save(tmp_path / "ball.png")
    path = client.download(effect, tmp_path / "ball.png")
    data = client.fetch(effect.pictures[0])
    assert (tmp_path / "ball.png").read_bytes() == data
    assert path == str(tmp_path / "ball.png")


def test_saving_replaces_whole_and_leaves_nothing_else(client, tmp_path):
    effect = client.run("glass_ball", URL)
    target = tmp_path / "ball.png"
    target.write_bytes(b"before")
    effect.save(target)
    assert target.read_bytes() == effect.bytes()
    with pytest.raises(OSError, match="nowhere"):
        effect.save(tmp_path / "nowhere" / "ball.png")
    assert [path.name for path in tmp_path.iterdir()] == ["ball.png"]


def test_times_are_seconds_or_timedeltas(emulator):
    second = datetime.timedelta(seconds=1)
    client = emulator.client(
        poll=second, wait_timeout=2 * second, request_timeout=3 * second, connect_timeout=second
    )
    assert client.policy == Policy(poll=Pace.fixed(1), wait_timeout=2, request_timeout=3, repeat="safe")
    for bad in ("fast", -1, 0, float("nan"), True, "1"):
        with pytest.raises((TypeError, ValueError)):
            emulator.client(poll=bad)


def test_a_wait_of_one_call_is_its_own(client, emulator):
    emulator.script("create", {"kind": "take", "seconds": 3600})
    task = client.submit("glass_ball", URL)
    with pytest.raises(spark_effects.WaitTimeout) as caught:
        task.wait(wait_timeout=0.05)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.task_id == task.id
    assert task.resume_line in str(caught.value)
    slow = Policy(poll=Pace.backoff(0.001, 0.002), wait_timeout=0.02, retry=Backoff(first=0.001))
    with pytest.raises(spark_effects.WaitTimeout):
        task.wait(policy=slow)


def test_misspelt_options_are_told_with_what_was_meant(client, emulator):
    task = client.task("some-task")
    for call, meant in [
        (lambda: client.run("glass_ball", URL, widht=512), "width"),
        (lambda: client.submit("glass_ball", URL, heigth=512), "height"),
        (lambda: client.check("glass_ball", URL, wdth=512), "width"),
        (lambda: task.wait(wait_timout=3), "wait_timeout"),
        (lambda: client.run("glass_ball", URL, wait=3), "wait_timeout"),
        (lambda: client.run("glass_ball", URL, download=False), "fetch"),
        (lambda: task.events(polcy=None), "policy"),
        (lambda: Client(api_kye="k"), "api_key"),
        (lambda: Emulator(lattency=3), "latency"),
    ]:
        with pytest.raises(TypeError, match=f"did you mean '{meant}'"):
            call()
    with pytest.raises(TypeError):
        Client("key")
    assert emulator.requests == []


def test_an_option_of_another_call_is_told_with_that_call(client, emulator):
    for call, words in [
        (
            lambda: client.run("glass_ball", URL, first_answer_timeout=1),
            "run() has no option 'first_answer_timeout': it is an option of Client(); for one call, give ",
        ),
        (lambda: client.run("glass_ball", URL, repeat="x"), "client.policy.replace(repeat=...)"),
        (lambda: client.map([], poll=1), "it is an option of Client(); for one call"),
        (
            lambda: client.run("glass_ball", URL, budget="1"),
            "'budget': it is an option of Client() and map()",
        ),
        (lambda: client.check("glass_ball", URL, repeat="x"), "'repeat': it is an option of Client()"),
        (lambda: client.run("glass_ball", URL, in_flight=4), "'in_flight': it is an option of map()"),
        (
            lambda: client.submit("glass_ball", URL, fetch=False),
            "'fetch': it is an option of run() and map()",
        ),
        (lambda: Client(progress=True), "'progress': it is an option of run() and map()"),
        (lambda: Emulator(repeat="x"), "Emulator() has no option 'repeat': it is an option of Client()"),
    ]:
        with pytest.raises(TypeError) as raised:
            call()
        assert words in str(raised.value)
        assert "did you mean" not in str(raised.value)
    assert emulator.requests == []


def test_the_key_comes_from_the_environment(emulator, monkeypatch):
    with pytest.raises(spark_effects.AuthError, match="API key page") as raised:
        Client()
    # In the words of Python alone.
    assert "api_key=" in str(raised.value)
    assert "emulator.client()" in str(raised.value)
    assert "--" not in str(raised.value)
    monkeypatch.setenv("VTRIX_API_KEY", emulator.api_key)
    monkeypatch.setenv("EFFECTS_BASE_URL", emulator.base_url)
    assert Client(poll=0.005).run("glass_ball", URL, fetch=False).task_id


def test_nothing_prints_the_key(emulator):
    client = emulator.client()
    task = client.task("abc")
    for thing in (client, task, client.policy, emulator):
        assert emulator.api_key not in repr(thing)


def test_another_thread_runs_while_one_waits(emulator):
    import threading

    emulator.script("create", {"kind": "take", "seconds": 1})
    client = emulator.client(poll=0.01)
    count, done = 0, threading.Event()

    def work():
        client.run("glass_ball", URL, fetch=False)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.is_set():
        count += 1
    thread.join()
    assert count > 1000
