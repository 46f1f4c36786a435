"""A gateway that nothing reaches is told by `logging` at once, and not with every attempt."""

import asyncio
import logging
import pathlib
import socket
import ssl
import threading
import time

import pytest
from conftest import ROOT, URL

from spark_effects import AsyncClient, Client, EffectsError

CERTIFICATES = ROOT / "tests" / "certificates"


@pytest.fixture
def refusing():
    """The address of a gateway that is not there."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.fixture
def untrusted():
    """The address of a gateway whose certificate has an issuer that this machine does not know."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "server.pem", CERTIFICATES / "server.key")
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve():
        while not over.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            try:
                context.wrap_socket(connection, server_side=True).close()
            except (OSError, ssl.SSLError):
                connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{listening.getsockname()[1]}"
    over.set()
    listening.close()


class Told(logging.Handler):
    """Notes what is logged, and when."""

    def __init__(self):
        super().__init__()
        self.begun = time.monotonic()
        self.lines = []

    def emit(self, record):
        self.lines.append((time.monotonic() - self.begun, record.getMessage()))


@pytest.fixture
def told():
    logger, handler = logging.getLogger("spark_effects"), Told()
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.mark.parametrize("awaits", [False, True])
@pytest.mark.parametrize(
    ("gateway", "words"),
    [
        ("refusing", "refused"),
        ("https://no.such.host.invalid", "no.such.host"),
        ("untrusted", "SSL_CERT_FILE"),
    ],
)
def test_what_is_not_reached_is_told_within_two_seconds_and_once(gateway, words, awaits, told, request):
    base = gateway if "://" in gateway else request.getfixturevalue(gateway)
    options = {"base_url": base, "api_key": "key-of-the-tests", "wait_timeout": 1.2}

    def run():
        if awaits:
            asyncio.run(AsyncClient(**options).run("glass_ball", URL))
        else:
            Client(**options).run("glass_ball", URL)

    told.begun = time.monotonic()
    with pytest.raises(EffectsError) as raised:
        run()
    # It is repeated until the wait is over, and told once.
    ((after, line),) = told.lines
    assert after < 1.5
    assert f"{base} cannot be reached: " in line
    assert words in line
    assert words in str(raised.value) or gateway.endswith(".invalid")
    assert "key-of-the-tests" not in line


def test_many_runs_tell_it_once(refusing, told):
    client = Client(base_url=refusing, api_key="key-of-the-tests", wait_timeout=0.5)
    results = client.map([("glass_ball", f"{URL}?{number}") for number in range(20)]).all()
    assert not any(result.ok for result in results)
    assert sum("cannot be reached" in line for _, line in told.lines) == 1


def test_a_gateway_that_is_reached_tells_nothing(client, told):
    client.run("glass_ball", URL)
    assert told.lines == []
    assert pathlib.Path(CERTIFICATES / "ca.pem").exists()
