"""Headers of the caller's own: per client and per call, to the gateway alone, and never the key's."""

import asyncio
import pickle

import pytest
from conftest import PHOTO, URL

from spark_effects import InvalidRequest, Policy


def seen(emulator, name):
    """What each request to the gateway said under this header, and the other requests."""
    sent = [(seen.endpoint, dict(seen.headers).get(name)) for seen in emulator.requests]
    return [value for endpoint, value in sent if endpoint != "file"], [
        value for endpoint, value in sent if endpoint == "file"
    ]


def test_they_go_with_every_request_of_a_client_and_with_those_of_one_call(emulator):
    client = emulator.client(poll=0.01, headers={"X-Team": "studio"}, user_agent="mine/1.0")
    client.run("glass_ball", PHOTO)
    here, elsewhere = seen(emulator, "x-team")
    assert len(here) >= 3
    assert set(here) == {"studio"}
    assert set(elsewhere) == {None}
    assert set(seen(emulator, "user-agent")[0]) == {"mine/1.0"}
    emulator.reset()
    task = client.submit("glass_ball", URL, headers={"x-team": "other", "X-More": "1"})
    task.wait(headers={"X-More": "1"}, fetch=False)

    async def awaited():
        own = emulator.async_client(poll=0.01)
        await own.run("glass_ball", URL, headers={"X-More": "1"}, fetch=False)

    asyncio.run(awaited())
    assert set(seen(emulator, "x-more")[0]) == {"1"}
    assert seen(emulator, "x-team")[0][:2] == ["other", "studio"]


def test_none_replaces_the_key_and_no_value_is_shown(emulator):
    client = emulator.client()
    for name in ["Authorization", "Host", "Content-Length", "X-Request-Id", "Proxy-Authorization", "a b"]:
        headers = {name: "a-secret-value"}
        for act in (
            lambda headers=headers: client.run("glass_ball", URL, headers=headers),
            lambda headers=headers: emulator.client(headers=headers),
        ):
            with pytest.raises(InvalidRequest, match=name) as raised:
                act()
            assert "a-secret-value" not in str(raised.value)
    with pytest.raises(TypeError, match="X-Team"):
        emulator.client(headers={"X-Team": 1})
    policy = Policy(headers={"X-Team": "a-secret-value"})
    assert "a-secret-value" not in repr(policy)
    assert "X-Team" in repr(policy)
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert not emulator.requests
