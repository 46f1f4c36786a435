"""The pytest plugin, as a user's own tests see it."""

import re
import subprocess
import sys
import textwrap

import pytest

from spark_effects import AsyncClient, Client, Policy, pytest_plugin


def test_the_fixture_gives_an_emulator_that_client_finds(effects_emulator):
    effect = Client(poll=0.005).run("glass_ball", "https://example.com/cat.jpg")
    assert effect.bytes()
    assert AsyncClient().base_url == effects_emulator.base_url
    assert effects_emulator.counts["accepted"] == 1
    assert Client().policy == AsyncClient().policy == Policy(poll=0.1)


@pytest.fixture
def a_recording(monkeypatch, tmp_path):
    monkeypatch.setenv("EFFECTS_CASSETTE", str(tmp_path / "recorded.jsonl"))
    return tmp_path / "recorded.jsonl"


def test_no_recording_of_the_environment_is_replayed_or_made(a_recording, effects_emulator):
    Client(poll=0.005).run("glass_ball", "https://example.com/cat.jpg")
    assert effects_emulator.counts["accepted"] == 1
    assert not a_recording.exists()


@pytest.mark.effects_emulator(clock="virtual", latency=60)
def test_time_is_the_test_s_on_request(effects_emulator):
    task = effects_emulator.client(poll=0.005).submit("glass_ball", "https://example.com/cat.jpg")
    assert task.status().status == "in_progress"
    effects_emulator.advance(61)
    assert task.wait().usage.cost is not None


def test_each_test_has_one_of_its_own(effects_emulator):
    assert effects_emulator.requests == []


def pytest_of(folder, *options):
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", *options, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120)


def test_the_documented_examples_work_as_they_stand(tmp_path):
    blocks = re.findall(r"::\n\n((?:    .*\n|\n)+)", pytest_plugin.__doc__ + "\n")
    (tmp_path / "test_mine.py").write_text("".join(textwrap.dedent(block) for block in blocks))
    done = pytest_of(tmp_path)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_it_can_be_left_out(tmp_path):
    (tmp_path / "test_mine.py").write_text("def test_mine(effects_emulator): pass")
    done = pytest_of(tmp_path, "-p", "no:spark_effects")
    assert "fixture 'effects_emulator' not found" in done.stdout
