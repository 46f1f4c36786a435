"""Where a client's key comes from: a function, a program, a profile."""

import asyncio
import os
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import URL

import spark_effects
from spark_effects import AsyncClient, AuthError, Client, InvalidRequest

OLD = "a-key-of-yesterday-that-no-one-may-see"


class Keys:
    """Returns the old key first and then the new one; it counts."""

    def __init__(self, *keys):
        self.keys = list(keys)
        self.asked = 0

    def __call__(self):
        self.asked += 1
        return self.keys.pop(0) if len(self.keys) > 1 else self.keys[0]


def creates(emulator):
    return sum(seen.endpoint == "create" for seen in emulator.requests)


def test_a_function_gives_the_key_and_is_asked_once_more_where_it_is_refused(emulator):
    keys = Keys(OLD, emulator.api_key)
    client = Client(base_url=emulator.base_url, api_key=keys, poll=0.005)
    client.run("glass_ball", URL, fetch=False)
    client.run("my_world", URL, fetch=False)
    assert keys.asked == 2
    assert creates(emulator) == 3


def test_a_key_that_is_refused_again_is_an_error_without_it(emulator):
    keys = Keys(OLD)
    client = Client(base_url=emulator.base_url, api_key=keys, poll=0.005)
    with pytest.raises(AuthError) as raised:
        client.run("glass_ball", URL)
    assert keys.asked == 2
    assert OLD not in f"{raised.value!r} {raised.value} {client!r}"


def test_the_async_client_asks_without_stopping_the_loop(emulator):
    keys = Keys(OLD, emulator.api_key)

    async def main():
        async with AsyncClient(base_url=emulator.base_url, api_key=keys, poll=0.005) as client:
            effects = [client.run(template, URL, fetch=False) for template in ("glass_ball", "my_world")]
            return await asyncio.gather(*effects)

    assert len(asyncio.run(main())) == 2
    assert keys.asked == 2, "once for the key that is refused, however many requests it was refused to"


def test_what_a_function_raises_or_returns_otherwise_is_told(emulator):
    def broken():
        raise OSError("the vault is closed")

    for function, why in ((broken, "the vault is closed"), (lambda: 7, "return text")):
        with pytest.raises(AuthError, match=why):
            Client(base_url=emulator.base_url, api_key=function)

    async def later():
        return OLD

    with pytest.raises(TypeError, match="coroutine function"):
        Client(base_url=emulator.base_url, api_key=later)


def test_the_environments_program_prints_the_key(emulator, monkeypatch):
    monkeypatch.setenv("EFFECTS_API_KEY_COMMAND", f"echo {emulator.api_key}")
    Client(base_url=emulator.base_url, poll=0.005).run("glass_ball", URL, fetch=False)


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe with a name is of Unix")
def test_other_threads_run_while_a_program_prints_the_key(emulator, tmp_path, monkeypatch):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setenv("EFFECTS_API_KEY_COMMAND", f"cat {pipe}")
    with ThreadPoolExecutor(1) as pool:
        # It opens the pipe when the program does, and has yet to write then.
        writing = pool.submit(pipe.write_text, emulator.api_key)
        Client(base_url=emulator.base_url, poll=0.005).run("glass_ball", URL, fetch=False)
        writing.result()


@pytest.fixture
def profiles(tmp_path, monkeypatch):
    monkeypatch.setenv("EFFECTS_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("EFFECTS_STATE_DIR", str(tmp_path / "state"))

    def write(text):
        (tmp_path / "profiles.toml").write_text(text)
        os.chmod(tmp_path / "profiles.toml", 0o600)

    return write


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_profile_says_gateway_key_and_journal(kind, emulator, profiles, tmp_path):
    (tmp_path / "key").write_text(emulator.api_key)
    journal = tmp_path / "run.db"
    profiles(
        f"[studio]\nbase_url = '{emulator.base_url}'\n"
        f"api_key_file = '{tmp_path}/key'\njournal = '{journal}'\n"
    )
    client = kind.from_profile("studio", poll=0.005)
    assert client.base_url == emulator.base_url
    copy = pickle.loads(pickle.dumps(client))
    assert copy == client
    assert emulator.api_key.encode() not in pickle.dumps(client)
    for each in (client, copy):
        running = each.run("glass_ball", URL, fetch=False)
        if kind is AsyncClient:

            async def main(running=running):
                return await running

            asyncio.run(main())
    assert journal.is_file()
    with pytest.raises(InvalidRequest, match="its own gateway"):
        kind.from_profile("studio", base_url="https://example.com")


def test_a_profile_that_is_not_there_or_misspelt_is_named(profiles):
    profiles(f"[studio]\napikey = '{OLD}'\n")
    with pytest.raises(InvalidRequest, match="unknown field `apikey`") as raised:
        Client.from_profile("studio")
    assert OLD not in str(raised.value)
    profiles("[studio]\n")
    with pytest.raises(InvalidRequest, match="has studio"):
        Client.from_profile("other")
    with pytest.raises(AuthError):
        Client.from_profile("studio")


def test_the_name_may_come_from_the_environment(emulator, profiles, monkeypatch):
    profiles(f"[studio]\nbase_url = '{emulator.base_url}'\napi_key = '{emulator.api_key}'\n")
    monkeypatch.setenv("EFFECTS_PROFILE", "studio")
    assert spark_effects.Client.from_profile().base_url == emulator.base_url
