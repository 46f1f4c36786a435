"""A client's journal in Postgres: the same as in a file, for many machines."""

import glob
import multiprocessing
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile

import pytest
from conftest import URL

import spark_effects

PASSWORD = "a-password-that-no-one-may-see"
QUICK = {"polls_per_second": 5000}


def programs():
    """Where the server's programs are, if they are here."""
    found = shutil.which("pg_ctl")
    folders = [os.path.dirname(os.path.realpath(found))] if found else []
    folders += sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    return next((pathlib.Path(folder) for folder in folders if os.path.exists(f"{folder}/initdb")), None)


@pytest.fixture(scope="module")
def database():
    """The URL of an empty database of a server that ends with the tests of this file."""
    folder = programs()
    if folder is None:
        pytest.skip("there are no server programs of PostgreSQL here: apt-get install postgresql")
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


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("EFFECTS_STATE_DIR", str(tmp_path / "state"))


def jobs(name, count):
    return [spark_effects.Job("glass_ball", f"https://example.com/{name}{n}.jpg") for n in range(count)]


def test_what_one_process_paid_for_another_does_not_pay_for_again(emulator, database):
    for _ in range(2):
        client = emulator.client(poll=0.005, journal=database)
        results = list(client.map(jobs("once", 8), **QUICK))
        assert all(result.ok for result in results)
        client.close()
    assert emulator.counts["accepted"] == 8
    with emulator.client(poll=0.005) as client:
        results = list(client.map(jobs("once", 8), journal=database, **QUICK))
        assert all(result.ok for result in results)
    assert emulator.counts["accepted"] == 8


def test_a_wait_records_the_end_in_the_database(emulator, database):
    with emulator.client(poll=0.005, journal=database) as client:
        task = client.submit("glass_ball", URL)
        task.wait()
    line = ["tasks", "--json", "--journal", database]
    ran = subprocess.run([sys.executable, "-m", "spark_effects", *line], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert task.id in ran.stdout
    assert '"completed"' in ran.stdout
    assert PASSWORD not in ran.stdout + ran.stderr


def test_no_password_is_told(emulator, database, caplog):
    gone = f"postgres://me:{PASSWORD}@127.0.0.1:1/photos"
    with emulator.client(poll=0.005, journal=gone) as client:
        with pytest.raises(spark_effects.EffectsError) as raised:
            client.run("glass_ball", URL)
        assert "postgres://me@127.0.0.1:1/photos" in str(raised.value)
        assert PASSWORD not in str(raised.value) + repr(client) + caplog.text
    assert emulator.counts["accepted"] == 0


def submit(options, names, answers):
    with spark_effects.Client(**options) as client:
        done = [result.ok for result in client.map(jobs(names, 10), **QUICK)]
    answers.put(sum(done))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_share_the_journal(emulator, database, method):
    context = multiprocessing.get_context(method)
    options = {
        "base_url": emulator.base_url,
        "api_key": emulator.api_key,
        "poll": 0.01,
        "journal": database,
    }
    # Open in the parent, whose connection no child may use.
    with spark_effects.Client(**options) as parent:
        parent.run("glass_ball", f"https://example.com/{method}.jpg")
        answers = context.Queue()
        workers = [context.Process(target=submit, args=(options, method, answers)) for _ in range(3)]
        for worker in workers:
            worker.start()
        assert [answers.get(timeout=60) for _ in workers] == [10, 10, 10]
        for worker in workers:
            worker.join()
        parent.run("my_world", f"https://example.com/{method}.jpg")
    assert emulator.counts["accepted"] == 12
