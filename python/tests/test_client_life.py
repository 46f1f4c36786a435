"""A client as an object: closed, subclassed, pickled, weakly referenced; and waits without limit."""

import asyncio
import contextlib
import copy
import os
import pickle
import time
import weakref
from datetime import timedelta

import pytest
from conftest import URL

from spark_effects import AsyncClient, Client, Effect, InvalidRequest, Job, Policy, Usage


def test_a_with_block_closes_the_client(emulator):
    with emulator.client(poll=0.005) as client:
        task = client.submit("glass_ball", URL)
        task.wait()
        coming = client.map([("my_world", URL)], polls_per_second=1000)
    seen = len(emulator.requests)
    calls = (
        lambda: client.run("glass_ball", URL),
        lambda: client.submit("glass_ball", URL),
        lambda: client.map([("glass_ball", URL)]),
        lambda: client.task("abc"),
        lambda: client.check("glass_ball", URL),
        client.__enter__,
        task.status,
        task.events,
    )
    for call in calls:
        with pytest.raises(RuntimeError, match="the Client is closed: make another"):
            call()
    # What was under way goes on, and what is known of a task stays known.
    assert coming.all()[0].ok
    assert emulator.counts["creates_seen"] == 2
    assert seen <= len(emulator.requests)
    assert task.id in task.resume_line
    client.close()
    again = pickle.loads(pickle.dumps(client))
    assert again == client
    assert again.task(task.id).wait().task_id == task.id


def test_an_async_with_block_closes_the_client(emulator):
    async def main():
        async with emulator.async_client(poll=0.005) as client:
            effect = await client.run("glass_ball", URL)
        with pytest.raises(RuntimeError, match="the AsyncClient is closed"):
            await client.run("glass_ball", URL)
        await client.close()
        return effect

    assert asyncio.run(main()).usage.cost is not None


def sockets():
    """The sockets that this process has open."""
    links = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(f"/proc/self/fd/{name}"))
    return {link for link in links if link.startswith("socket:")}


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="what is open is read from /proc")
def test_a_closed_client_lets_go_of_its_connections(emulator):
    before = sockets()
    client = emulator.client(poll=0.005)
    client.run("glass_ball", URL)
    assert sockets() - before
    client.close()
    # The thread that holds them ends them, and the emulator its own ends.
    until = time.monotonic() + 10
    while sockets() - before:
        assert time.monotonic() < until, "the connections of a closed client are open"
        time.sleep(0.01)


@pytest.mark.parametrize("limit", [None, float("inf")])
def test_a_wait_without_limit(emulator, limit):
    emulator.script("create", {"kind": "take", "seconds": 0.3})
    client = emulator.client(poll=0.005, wait_timeout=0.05)
    assert client.policy.wait_timeout == 0.05
    assert client.run("glass_ball", URL, wait_timeout=limit).usage.cost is not None
    emulator.script("create", {"kind": "take", "seconds": 0.3})
    assert client.submit("glass_ball", URL).wait(wait_timeout=limit).usage.cost is not None
    whole = emulator.client(poll=0.005, wait_timeout=limit)
    assert whole.policy.wait_timeout == float("inf")
    assert whole.run("glass_ball", URL).usage.cost is not None
    policy = Policy(wait_timeout=limit)
    assert "wait_timeout=None" in repr(policy)
    assert (
        pickle.loads(pickle.dumps(policy))
        == policy
        == eval(repr(policy), {**vars(__import__("spark_effects"))})
    )


@pytest.mark.parametrize("limit", [float("nan"), -1, timedelta.max, 10**400, "600"])
def test_other_waits_are_refused(client, limit):
    with pytest.raises((InvalidRequest, TypeError), match="wait_timeout"):
        client.run("glass_ball", URL, wait_timeout=limit)


def test_paths_may_begin_at_home(tmp_path, monkeypatch, emulator):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    client = emulator.client(poll=0.005, journal="~/done.db")
    effect = client.run("glass_ball", URL)
    assert (tmp_path / "done.db").exists()
    assert client.map([("my_world", URL)], journal="~/other.db", polls_per_second=1000).all()[0].ok
    assert (tmp_path / "other.db").exists()
    assert effect.save("~/ball.png") == str(tmp_path / "ball.png")
    # A name that only looks like a user's is a name.
    assert effect.save("~root.png") == "~root.png"
    assert not (tmp_path / "~").exists()


class Tagged(Client):
    """A user's own client."""

    def __init__(self, tag, **options):
        super().__init__(**options)
        self.tag = tag


class Slotted(AsyncClient):
    """The same without a dict of its own."""

    __slots__ = ("__secret", "tag")

    def __init__(self, tag, **options):
        super().__init__(**options)
        self.tag = tag
        self.__secret = f"{tag}!"

    def secret(self):
        return self.__secret


class Order(Job):
    """A job with a customer."""

    def __init__(self, customer, image):
        super().__init__("glass_ball", image, key=customer)
        self.customer = customer


class Bill(Usage):
    __slots__ = ("payer",)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_subclasses_keep_their_attributes(emulator, again):
    options = {"base_url": emulator.base_url, "api_key": emulator.api_key}
    tagged, slotted = again(Tagged("spring", **options)), again(Slotted("spring", **options))
    assert (type(tagged), tagged.tag) == (Tagged, "spring")
    assert (type(slotted), slotted.tag, slotted.secret()) == (Slotted, "spring", "spring!")
    assert tagged.run("glass_ball", URL, fetch=False).usage.cost is not None
    order = again(Order("ann", URL))
    assert (type(order), order.customer, order.key, order.image) == (Order, "ann", "ann", URL)
    with pytest.raises(AttributeError, match="is a value"):
        order.key = "ben"
    bill = Bill("0.03")
    bill.payer = "ann"
    bill = again(bill)
    assert (type(bill), bill.payer, str(bill.cost)) == (Bill, "ann", "0.03")
    with pytest.raises(AttributeError, match="is a record"):
        bill.unreadable_cost = "0.04"
    (result,) = tagged.map([order], polls_per_second=1000)
    assert result.job.customer == "ann"


def test_clients_are_weakly_referenceable(emulator):
    client, other = emulator.client(), emulator.async_client()
    kept = weakref.WeakSet([client, other])
    assert len(kept) == 2
    del client, other
    assert len(kept) == 0


def test_records_made_by_hand_still_pickle():
    effect = Effect("t", [("t", URL, 3, None, b"png")], ("0.03", None), None, None, "{}", None, 1.0)
    assert pickle.loads(pickle.dumps(effect)) == effect
