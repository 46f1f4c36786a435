"""The READMEs' snippets work as they stand."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT

TEXTS = [(ROOT / name).read_text() for name in ("README.md", "python/README.md", "docs/observing.md")]
SNIPPETS = re.findall(r"^```python\n(.*?)^```", "\n".join(TEXTS), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet(number, tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    path = tmp_path / f"test_snippet_{number}.py"
    path.write_text(SNIPPETS[number])
    is_test = "def test_" in SNIPPETS[number]
    command = [sys.executable, *(["-m", "pytest", "-q"] if is_test else []), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_snippets():
    assert len(SNIPPETS) >= 5
