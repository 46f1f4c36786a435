"""The pytest plugin, as a user's own tests see it."""

import pytest

from spark_effects import AsyncClient, Client


def test_the_fixture_gives_an_emulator_that_client_finds(effects_emulator):
    effect = Client(poll=0.005).run("glass_ball", "https://example.com/cat.jpg")
    assert effect.bytes()
    assert AsyncClient().base_url == effects_emulator.base_url
    assert effects_emulator.counts["accepted"] == 1


@pytest.mark.effects_emulator(clock="virtual", latency=60)
def test_time_is_the_test_s_on_request(effects_emulator):
    task = effects_emulator.client(poll=0.005).submit("glass_ball", "https://example.com/cat.jpg")
    assert task.status().status == "in_progress"
    effects_emulator.advance(61)
    assert task.wait().usage.cost is not None


def test_each_test_has_one_of_its_own(effects_emulator):
    assert effects_emulator.requests == []
