"""`effects_emulator`: the fixture of the pytest plugin: an `Emulator` for each test, whose address and key
are in the environment during the test, so that ``Client()`` finds it. pytest loads the plugin where the
package is installed; tests of code that uses this package run with it in milliseconds, at no cost.

::

    import pytest
    from spark_effects import Client, TaskFailed


    def my_code():
        return Client(poll=0.01).run("glass_ball", "https://example.com/cat.jpg")


    def test_what_a_failure_costs(effects_emulator):
        effects_emulator.script("create", {"kind": "fail", "code": "3009095"})
        with pytest.raises(TaskFailed):
            my_code()
        assert effects_emulator.counts["accepted"] == 1

Options of the emulator go into a mark::

    @pytest.mark.effects_emulator(clock="virtual", latency=60)
    def test_time(effects_emulator):
        task = effects_emulator.client().submit("glass_ball", "https://example.com/cat.jpg")
        effects_emulator.advance(61)
        assert task.wait().usage.cost is not None
"""

import pytest

from ._emulator import Emulator

__all__ = ["effects_emulator"]


def pytest_configure(config):
    config.addinivalue_line(
        "markers",
        "effects_emulator(**options): what the emulator of the fixture of this name is made of; "
        "see spark_effects.Emulator.",
    )


@pytest.fixture
def effects_emulator(request, monkeypatch):
    """A fresh emulator in this process: an ephemeral port, in memory, one constant picture.

    It is what the environment names too, so that ``Client()`` finds it. The mark of the same name gives
    it other options: ``pictures="painted"``, ``clock="virtual"``, ``latency=60``.
    """
    mark = request.node.get_closest_marker("effects_emulator")
    options = {"pictures": "stub", **(mark.kwargs if mark else {})}
    with Emulator(**options) as emulator:
        monkeypatch.setenv("EFFECTS_API_KEY", emulator.api_key)
        monkeypatch.setenv("EFFECTS_BASE_URL", emulator.base_url)
        monkeypatch.delenv("VTRIX_API_KEY", raising=False)
        # With a recording, ``Client()`` would answer from it and never reach the emulator.
        monkeypatch.delenv("EFFECTS_CASSETTE", raising=False)
        yield emulator
