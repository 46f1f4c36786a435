"""`effects_emulator`: the fixture of the pytest plugin: an `Emulator` for each test, whose address and key
are in the environment during the test, so that ``Client()`` finds it. pytest loads the plugin where the
package is installed; tests of code that uses this package run with it in milliseconds, at no cost.
"""

from collections.abc import Iterator

import pytest

from ._emulator import Emulator

__all__ = ["effects_emulator"]

def pytest_configure(config: pytest.Config) -> None: ...
@pytest.fixture
def effects_emulator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """A fresh emulator in this process: an ephemeral port, in memory, one constant picture.

    It is what the environment names too, so that ``Client()`` finds it. The mark of the same name gives
    it other options: ``pictures="painted"``, ``clock="virtual"``, ``latency=60``.
    """
