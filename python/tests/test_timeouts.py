"""`timeout=` of a look, a download and an upload: how long one call may take, whatever it repeats."""

import asyncio
import socket
import threading
import time
from datetime import timedelta

import pytest
from conftest import PHOTO, URL

from spark_effects import AsyncClient, Client, Picture, TransportError


@pytest.fixture
def silence():
    """The address of a gateway that takes connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        kept = []

        def take():
            while True:
                try:
                    kept.append(listening.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.close()
        for connection in kept:
            connection.close()


@pytest.fixture
def refusing():
    """The address of a gateway that is not there."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    return f"http://127.0.0.1:{port}"


CALLS = {
    "status": lambda client, base, timeout: client.task("abc").status(timeout=timeout),
    "fetch": lambda client, base, timeout: client.fetch(Picture("abc", f"{base}/x.png"), timeout=timeout),
    "download": lambda client, base, timeout: client.download(
        Picture("abc", f"{base}/x.png"), "never.png", timeout=timeout
    ),
    "upload": lambda client, base, timeout: client.upload(PHOTO, timeout=timeout),
}


@pytest.mark.parametrize("awaits", [False, True])
@pytest.mark.parametrize("gateway", ["silence", "refusing"])
@pytest.mark.parametrize("call", CALLS)
def test_a_call_takes_no_longer_than_it_may(call, gateway, awaits, request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = request.getfixturevalue(gateway)
    options = {"base_url": base, "api_key": "key-of-the-tests", "uploads": "gateway"}
    begun = time.monotonic()

    async def awaited():
        return await CALLS[call](AsyncClient(**options), base, timedelta(seconds=0.5))

    def run():
        return asyncio.run(awaited()) if awaits else CALLS[call](Client(**options), base, 0.5)

    with pytest.raises(TransportError) as raised:
        run()
    assert time.monotonic() - begun < 5
    if call != "upload":
        assert raised.value.task_id == "abc"
        assert "effects wait abc" in raised.value.resume_line
    assert "key-of-the-tests" not in str(raised.value)
    # The part of an awaited download is removed beside its caller.
    limit = time.monotonic() + 60
    while left := list(tmp_path.iterdir()):
        assert time.monotonic() < limit, left
        time.sleep(0.01)


def test_a_timeout_that_is_long_enough_changes_nothing(client, tmp_path):
    task = client.submit("glass_ball", URL)
    effect = task.wait()
    assert task.status(timeout=60).done
    assert client.fetch(effect, timeout=60) == effect.bytes()
    assert client.download(effect, tmp_path / "ball.png", timeout=60) == str(tmp_path / "ball.png")
    assert client.upload(PHOTO, timeout=60).startswith("http")


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), "5", float("inf")])
def test_other_timeouts_are_refused(client, emulator, wrong):
    for call in CALLS.values():
        with pytest.raises((ValueError, TypeError), match="timeout"):
            call(client, client.base_url, wrong)
    assert emulator.requests == []
