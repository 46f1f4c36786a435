from collections.abc import Iterator

import pytest

from ._emulator import Emulator

__all__ = ["effects_emulator"]

def pytest_configure(config: pytest.Config) -> None: ...
@pytest.fixture
def effects_emulator(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Emulator]: ...
