"""Every test runs against an emulator of its own process: no key, no network, no bill."""

import glob
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pytest

import spark_effects

ROOT = pathlib.Path(__file__).resolve().parents[2]
PHOTO = ROOT / "examples" / "chelsea.png"
URL = "https://example.com/cat.jpg"
PASSWORD = "a-password-that-no-one-may-see"

for name in (
    "EFFECTS_API_KEY",
    "VTRIX_API_KEY",
    "EFFECTS_BASE_URL",
    "EFFECTS_CASSETTE",
    "EFFECTS_PROFILE",
    "EFFECTS_STATE_DIR",
):
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


def programs():
    """Where the server's programs are, if they are here."""
    found = shutil.which("pg_ctl")
    folders = [os.path.dirname(os.path.realpath(found))] if found else []
    folders += sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    return next((pathlib.Path(folder) for folder in folders if os.path.exists(f"{folder}/initdb")), None)


@pytest.fixture(scope="module")
def database():
    """The URL of an empty database of a server that ends with the tests of a file."""
    folder = programs()
    if folder is None:
        pytest.skip("there are no server programs of PostgreSQL here: apt-get install postgresql")
    import pwd

    # A server refuses to be root's.
    user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    place = pathlib.Path(tempfile.mkdtemp(prefix="effects-pg-"))
    shutil.chown(place, user)

    def run(program, *arguments):
        line = [folder / program, *arguments]
        extra = {"user": user, "group": pwd.getpwnam(user).pw_gid} if os.getuid() == 0 else {}
        subprocess.run(line, check=True, cwd="/", stdout=subprocess.DEVNULL, **extra)

    data = place / "data"
    run("initdb", "--no-sync", "--auth=trust", "--username=postgres", "--pgdata", data)
    options = f"-c listen_addresses='' -c fsync=off -k {place}"
    run("pg_ctl", "start", "--wait", "--silent", "-D", data, "-l", place / "log", "-o", options)
    try:
        # The server asks for no password, and none may be told all the same.
        yield f"postgres://postgres:{PASSWORD}@/postgres?host={place}"
    finally:
        run("pg_ctl", "stop", "--silent", "-m", "immediate", "-D", data)
        shutil.rmtree(place, ignore_errors=True)
