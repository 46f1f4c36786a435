"""Clients of a profile whose key is in the system's keyring, which is one of the tests' own here."""

import asyncio
import pickle
import socket
import subprocess
import sys
import threading

import pytest
from conftest import URL
from jeepney import HeaderFields, MessageType, new_method_return
from jeepney.low_level import Parser

from spark_effects import AsyncClient, AuthError, Client

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the keyring is that of Linux desktops")

COLLECTION = "/org/freedesktop/secrets/collection/login"


class Keyring:
    """A session bus whose Secret Service keeps one secret, as far as a client needs it."""

    def __init__(self, folder):
        self.secret = None
        self.is_locked = False
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / "bus"))
        self.listener.listen()
        self.address = f"unix:path={folder}/bus"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection = self.listener.accept()[0]
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        lines = connection.makefile("rb")
        lines.read(1)
        for line in iter(lines.readline, b"BEGIN\r\n"):
            connection.sendall(b"OK 0123456789abcdef\r\n" if line.startswith(b"AUTH") else b"ERROR\r\n")
        parser, serial = Parser(), 0
        while data := lines.read1():
            for call in parser.feed(data):
                if call.header.message_type == MessageType.method_call:
                    serial += 1
                    answer = new_method_return(call, *self.answer(call))
                    # A bus names the caller in its call, and this one has no name for it.
                    answer.header.fields.pop(HeaderFields.destination, None)
                    connection.sendall(answer.serialise(serial))

    def answer(self, call):
        """The signature and the values of the answer to a call."""
        member = call.header.fields[HeaderFields.member]
        if member == "Hello":
            return "s", (":1.1",)
        if member == "OpenSession":
            return "vo", (("s", ""), "/session")
        if member == "ReadAlias":
            return "o", (COLLECTION,)
        if member == "Get":
            return "v", (("b", self.is_locked),)
        if member == "SearchItems":
            found = [f"{COLLECTION}/1"] if self.secret is not None else []
            return "aoao", ([], found) if self.is_locked else (found, [])
        if member == "CreateItem":
            self.secret = call.body[1][2]
            return "oo", (f"{COLLECTION}/1", "/")
        assert member == "GetSecret", member
        return "(oayays)", (("/session", b"", self.secret, "text/plain"),)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """One for all tests: libdbus reads the address of the session bus once in a process."""
    return Keyring(tmp_path_factory.mktemp("bus"))


@pytest.fixture
def keyring(service, tmp_path, monkeypatch, emulator):
    """It has the key of the profile `studio`, stored by the command."""
    service.secret, service.is_locked = None, False
    for name, value in {
        "DBUS_SESSION_BUS_ADDRESS": service.address,
        "EFFECTS_CONFIG_DIR": str(tmp_path),
        "EFFECTS_STATE_DIR": str(tmp_path / "state"),
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "profiles.toml").write_text(f"[studio]\nbase_url = '{emulator.base_url}'\n")
    login = [sys.executable, "-m", "spark_effects", "login", "--profile", "studio", "--store", "keyring"]
    subprocess.run(login, input=emulator.api_key, text=True, check=True, timeout=120)
    assert service.secret == emulator.api_key.encode()
    return service


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_client_of_a_profile_reads_its_key_from_the_keyring(kind, keyring, emulator):
    client = kind.from_profile("studio", poll=0.005)
    assert emulator.api_key.encode() not in pickle.dumps(client)
    assert emulator.api_key not in repr(client)
    for each in (client, pickle.loads(pickle.dumps(client))):
        running = each.run("glass_ball", URL, fetch=False)
        if kind is AsyncClient:

            async def main(running=running):
                return await running

            asyncio.run(main())
    assert sum(seen.endpoint == "create" for seen in emulator.requests) == 2


def test_a_keyring_that_is_locked_is_an_error_with_the_way_out(keyring, emulator):
    keyring.is_locked = True
    with pytest.raises(AuthError, match="is locked, and there is no desktop") as raised:
        Client.from_profile("studio")
    assert "--store file" in str(raised.value)
    assert emulator.api_key not in str(raised.value)
    assert not emulator.requests
