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

from spark_effects import AsyncClient, Client, EffectsError, Emulator

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


class LogKeeper(logging.Handler):
    """Notes what is logged, and when."""

    def __init__(self):
        super().__init__()
        self.begun = time.monotonic()
        self.lines = []

    def emit(self, record):
        self.lines.append((time.monotonic() - self.begun, record.getMessage()))


@pytest.fixture
def logged():
    logger, handler = logging.getLogger("spark_effects"), LogKeeper()
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.mark.parametrize("awaits", [False, True])
@pytest.mark.parametrize(
    ("gateway", "words"),
    [
        ("refusing", "refused"),
        ("https://no.such.host.invalid", "no.such.host"),
    ],
)
def test_what_is_not_reached_is_told_within_two_seconds_and_once(gateway, words, awaits, logged, request):
    base = gateway if "://" in gateway else request.getfixturevalue(gateway)
    options = {"base_url": base, "api_key": "key-of-the-tests", "wait_timeout": 1.2}

    def run():
        if awaits:
            asyncio.run(AsyncClient(**options).run("glass_ball", URL))
        else:
            Client(**options).run("glass_ball", URL)

    logged.begun = time.monotonic()
    with pytest.raises(EffectsError) as raised:
        run()
    # It is repeated until the wait is over, and told once.
    ((after, line),) = logged.lines
    assert after < 1.5
    assert f"{base} cannot be reached: " in line
    assert words in line
    assert words in str(raised.value) or gateway.endswith(".invalid")
    assert "key-of-the-tests" not in line


@pytest.mark.parametrize("awaits", [False, True])
def test_a_certificate_that_is_not_trusted_ends_all_at_once(untrusted, awaits, logged):
    client = (AsyncClient if awaits else Client)(base_url=untrusted, api_key="key-of-the-tests")

    def run(call):
        return asyncio.run(call()) if awaits else call()

    for call in (
        lambda: client.run("glass_ball", URL),
        lambda: client.submit("glass_ball", URL),
        lambda: client.task("task-1").wait(),
        lambda: client.task("task-1").status(),
    ):
        begun = time.monotonic()
        with pytest.raises(EffectsError) as raised:
            run(call)
        assert time.monotonic() - begun < 5
        assert "SSL_CERT_FILE" in str(raised.value)
        assert "ca_bundle" in str(raised.value)
        assert raised.value.kind == "transport"
    assert logged.lines == []


def test_a_certificate_that_is_not_trusted_ends_a_map(untrusted):
    client = Client(base_url=untrusted, api_key="key-of-the-tests")
    results = client.map([("glass_ball", f"{URL}?{number}") for number in range(300)]).all()
    assert any("SSL_CERT_FILE" in str(result.error) for result in results)
    assert not any(result.ok for result in results)


@pytest.mark.parametrize("awaits", [False, True])
def test_a_run_that_nothing_answers_ends_soon_and_many_jobs_wait_for_the_gateway(refusing, awaits):
    options = {"base_url": refusing, "api_key": "key-of-the-tests", "first_answer_timeout": 1}

    def run():
        if awaits:
            asyncio.run(AsyncClient(**options).run("glass_ball", URL))
        else:
            Client(**options).run("glass_ball", URL)

    begun = time.monotonic()
    with pytest.raises(EffectsError, match="nothing is billed"):
        run()
    assert 1 <= time.monotonic() - begun < 4
    # These wait on, and have their pictures once a gateway is there.
    port = int(refusing.rsplit(":", 1)[1])
    jobs = [("glass_ball", f"{URL}?{number}") for number in range(5)]
    results = Client(**options, poll=0.05).map(jobs)
    time.sleep(2.5)
    with Emulator(port=port, api_key="key-of-the-tests", pictures="stub"):
        assert all(result.ok for result in results.all())


def test_a_photo_that_nothing_takes_ends_soon(refusing, tmp_path):
    photo = tmp_path / "photo.png"
    photo.write_bytes((ROOT / "examples" / "chelsea.png").read_bytes())
    client = Client(
        base_url=refusing, api_key="key-of-the-tests", uploads="gateway", first_answer_timeout=0.5
    )
    begun = time.monotonic()
    with pytest.raises(EffectsError, match="refused"):
        client.run("glass_ball", photo)
    assert time.monotonic() - begun < 4


@pytest.mark.parametrize("awaits", [False, True])
def test_a_photo_that_no_service_elsewhere_reaches_is_warned_of_once(awaits, logged):
    base = "https://no.such.host.invalid"
    options = {"base_url": base, "api_key": "key-of-the-tests", "wait_timeout": 0.2}
    photos = ["http://localhost:8000/a.png", "http://localhost:8000/b.png", "http://192.168.0.7/c.png"]

    async def run_all():
        client = AsyncClient(**options)
        ends = await asyncio.gather(*(client.run("glass_ball", it) for it in photos), return_exceptions=True)
        return [await client.map([("glass_ball", it) for it in photos]).all(), ends]

    if awaits:
        asyncio.run(run_all())
    else:
        client = Client(**options)
        for photo in photos:
            with pytest.raises(EffectsError):
                client.run("glass_ball", photo)
        client.map([("glass_ball", it) for it in photos]).all()
    lines = [line for _, line in logged.lines if "cannot reach" in line]
    # Once for the client's runs, and once for its jobs.
    assert sum("localhost" in line for line in lines) == 2
    assert sum("192.168.0.7" in line for line in lines) == 2


def test_an_emulator_reaches_what_is_here(client, logged):
    client.submit("glass_ball", "http://localhost:9/a.png")
    assert logged.lines == []


def test_many_runs_tell_it_once(refusing, logged):
    client = Client(base_url=refusing, api_key="key-of-the-tests", wait_timeout=0.5)
    results = client.map([("glass_ball", f"{URL}?{number}") for number in range(20)]).all()
    assert not any(result.ok for result in results)
    assert sum("cannot be reached" in line for _, line in logged.lines) == 1


def test_a_gateway_that_is_reached_tells_nothing(client, logged):
    client.run("glass_ball", URL)
    assert logged.lines == []
    assert pathlib.Path(CERTIFICATES / "ca.pem").exists()
