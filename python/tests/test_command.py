"""The ``effects`` command of the wheel: output, exit codes and Ctrl-C are the program's own."""

import json
import os
import signal
import subprocess
import sys

import pytest
from conftest import PHOTO, URL

from spark_effects import Emulator

COMMAND = [sys.executable, "-m", "spark_effects"]


def run(*arguments, **options):
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def test_a_photo_becomes_a_picture(tmp_path):
    out = tmp_path / "ball.png"
    done = run("run", "glass_ball", PHOTO, "--emulator", "--width", 512, "--height", 512, "-o", out, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["task_id"]
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["templates", "--json"], 0),
        (["check", "glas_ball", URL], 2),
        (["run", "glass_ball", URL], 3),
        (["nonsense"], 2),
        (["--version"], 0),
    ],
)
def test_exit_codes_are_the_command_s(arguments, code, tmp_path):
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    assert run(*arguments, env=environment).returncode == code


def test_ctrl_c_prints_the_id_and_exits_130(emulator, tmp_path):
    emulator.follow({"fault": [{"on": "create", "kind": "take", "seconds": 3600}]})
    environment = {
        **os.environ,
        "EFFECTS_API_KEY": emulator.api_key,
        "EFFECTS_BASE_URL": emulator.base_url,
        "XDG_STATE_HOME": str(tmp_path),
    }
    command = [*COMMAND, "run", "glass_ball", URL, "--poll", "0.05"]
    pipe = subprocess.PIPE
    running = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)
    while not any(seen.endpoint == "task" for seen in emulator.requests):
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    (task,) = {seen.path.rsplit("/", 1)[1] for seen in emulator.requests if seen.endpoint == "task"}
    assert f"effects wait {task}" in errors
    assert "Traceback" not in errors


def test_the_script_of_the_wheel_is_the_same_program():
    script = os.path.join(os.path.dirname(sys.executable), "effects")
    if not os.path.exists(script):
        pytest.skip("the package is on the path, not installed")
    done = subprocess.run([script, "templates"], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout == run("templates").stdout


def test_the_line_that_redraws_itself_on_a_terminal_is_escaped(tmp_path):
    import pty

    nasty = "a\u202e\x9b31m\x07z"
    faults = {"fault": [{"on": "task", "kind": "word", "status": nasty}]}
    ours, theirs = pty.openpty()
    with Emulator(pictures="stub", faults=faults) as emulator:
        gateway = ["--base-url", emulator.base_url, "--api-key", emulator.api_key]
        command = ["run", "glass_ball", URL, "--no-journal", "--poll", "0.2", "--wait-timeout", "1"]
        child = subprocess.Popen(
            [*COMMAND, *command, *gateway], stdout=subprocess.DEVNULL, stderr=theirs, cwd=tmp_path
        )
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:
            # The other end is closed.
            pass
        finally:
            os.close(ours)
        assert child.wait(60) == 5
    shown = shown.decode()
    # The live line, and not only what is said once.
    assert shown.count("\\u{202e}\\u{9b}31m\\u{7}z") > 3
    assert not set(shown) & set("\u202e\x9b\x07")
