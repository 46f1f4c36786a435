"""Every test runs against an emulator of its own process: no key, no network, no bill."""

import os
import pathlib
import signal

import pytest

import spark_effects

ROOT = pathlib.Path(__file__).resolve().parents[2]
PHOTO = ROOT / "examples" / "chelsea.png"
URL = "https://example.com/cat.jpg"

for name in ("EFFECTS_API_KEY", "VTRIX_API_KEY", "EFFECTS_BASE_URL", "EFFECTS_STATE_DIR"):
    os.environ.pop(name, None)

# A shell starts what it puts into the background with Ctrl-C ignored, and children inherit that:
# those of the tests that are interrupted would go on for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def emulator():
    """An emulator that fetches and paints nothing."""
    with spark_effects.Emulator(pictures="stub") as running:
        yield running


@pytest.fixture
def client(emulator):
    """A blocking client that looks often."""
    return emulator.client(poll=0.005)


@pytest.fixture
def async_client(emulator):
    """An async client that looks often."""
    return emulator.async_client(poll=0.005)
