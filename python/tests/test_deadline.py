"""One deadline over upload, submission, wait and download together, and how long a last look may take."""

import asyncio
import pickle
import time
from datetime import timedelta

import pytest
from conftest import PHOTO, URL

from spark_effects import (
    AsyncClient,
    DeadlineExceeded,
    InvalidRequest,
    Policy,
    TransportError,
    WaitTimeout,
)


def hanging(emulator, endpoint):
    """Lets each request of this endpoint hang."""
    emulator.script(endpoint, *[{"kind": "hang"}] * 50)


def creates(emulator):
    """The submissions that the gateway saw."""
    return [seen for seen in emulator.requests if seen.endpoint == "create"]


def timed(act):
    """How long it took to raise, and what it raised."""
    begun = time.monotonic()
    with pytest.raises(Exception) as raised:
        act()
    return time.monotonic() - begun, raised.value


def test_a_wait_of_a_second_at_a_gateway_that_hangs_adds_no_whole_request_timeout(emulator):
    client = emulator.client()
    task = client.submit("glass_ball", URL)
    hanging(emulator, "task")
    took, error = timed(lambda: task.wait(wait_timeout=1))
    assert isinstance(error, WaitTimeout)
    assert error.task_id == task.id
    assert 1 <= took < 12, took
    # And none at all, if that is what is wanted.
    task = client.submit("glass_ball", URL)
    policy = client.policy.replace(last_look=0)
    took, error = timed(lambda: task.wait(wait_timeout=1, policy=policy))
    assert isinstance(error, WaitTimeout)
    assert took < 5, took


@pytest.mark.parametrize("deadline", [1, timedelta(seconds=1)])
def test_a_deadline_ends_a_wait_and_names_the_task(emulator, deadline):
    client = emulator.client()
    hanging(emulator, "task")
    took, error = timed(lambda: client.run("glass_ball", URL, deadline=deadline))
    assert isinstance(error, WaitTimeout)
    assert isinstance(error, TimeoutError)
    assert error.task_id
    assert error.task_id in error.resume_line
    assert took < 10, took
    task = client.task(error.task_id)
    took, error = timed(lambda: task.wait(deadline=deadline))
    assert error.task_id == task.id
    assert took < 10, took


def test_a_deadline_holds_over_the_upload_and_nothing_is_submitted_after_it(emulator):
    hanging(emulator, "upload")

    async def awaited():
        await emulator.async_client().run("glass_ball", PHOTO, deadline=1)

    client = emulator.client(deadline=1)
    for act in (
        lambda: client.run("glass_ball", PHOTO),
        lambda: client.submit("glass_ball", PHOTO),
        lambda: emulator.client().submit("glass_ball", PHOTO, deadline=1),
        lambda: asyncio.run(awaited()),
    ):
        took, error = timed(act)
        assert isinstance(error, DeadlineExceeded), error
        assert isinstance(error, TransportError)
        assert isinstance(error, TimeoutError)
        assert (error.task_id, error.kind) == (None, "deadline_exceeded")
        assert "nothing" in str(error)
        assert took < 10, took
        assert type(pickle.loads(pickle.dumps(error))) is DeadlineExceeded
    assert not creates(emulator)


def test_a_deadline_holds_over_the_download_and_what_is_paid_for_is_named(emulator):
    hanging(emulator, "file")
    took, error = timed(lambda: emulator.client(poll=0.01).run("glass_ball", URL, deadline=1.5))
    assert isinstance(error, TransportError)
    assert error.kind == "download"
    assert error.task_id
    assert "paid for" in str(error)
    assert took < 10, took


def test_a_deadline_holds_over_many_jobs(emulator):
    emulator.script("create", *[{"kind": "take", "seconds": 3600}] * 4)
    client = emulator.client(poll=0.01)
    begun = time.monotonic()
    results = client.map([("glass_ball", URL)] * 4, in_flight=2, submissions=1, deadline=1).all()
    assert time.monotonic() - begun < 10
    kinds = [type(result.error) for result in results]
    assert kinds[:2] == [WaitTimeout, WaitTimeout], kinds
    assert all(result.error.task_id for result in results[:2])
    # Those that had no room before it are not submitted.
    assert len(creates(emulator)) == 2


def test_times_that_cannot_be_are_refused_by_name():
    for options, words in [
        ({"deadline": 0}, "deadline is 0"),
        ({"deadline": -1}, "deadline is -1"),
        ({"last_look": -1}, "last_look is -1"),
    ]:
        with pytest.raises(InvalidRequest, match=words):
            Policy(**options)
        with pytest.raises(InvalidRequest, match=words):
            AsyncClient(api_key="a-key-for-tests", **options)
    policy = Policy(deadline=timedelta(minutes=1), last_look=0)
    assert (policy.deadline, policy.last_look) == (60, 0)
    assert pickle.loads(pickle.dumps(policy)) == policy == policy.replace(deadline=60)
