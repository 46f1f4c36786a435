"""The pages' snippets work as they stand: those of the READMEs and of everything in `docs/`.

Snippets in Python are programs of their own. Those in sh run one after the other in one folder per page, with
a gateway on this machine in place of the service. Those in Rust are tested by `cargo test --doc`.
"""

import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys

import pytest
from conftest import PHOTO, ROOT

import spark_effects

READMES = [
    "README.md",
    "python/README.md",
    "crates/effects-cli/README.md",
    "crates/effects-emulator/README.md",
]
PAGES = READMES + sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))

# Pages with a snippet that is marked `no_run`, and why.
NOT_RUN = {
    "docs/building.md": "it builds everything anew, and measures",
    "docs/contributing.md": "it builds and tests the workspace",
    "docs/emulator.md": "it needs Go, and a checkout of another project",
    "docs/first-picture.md": "it installs the command",
    "docs/many-machines.md": "it needs a database; tests/tests/hosts and test_database.py have one",
    "docs/observing.md": "it installs packages, and builds a workspace of its own",
}

# Stands in for cargo: what `cargo run` starts is there already, as the command or as an example.
CARGO = """\
import os, pathlib, sys
root, arguments = pathlib.Path({root!r}), sys.argv[1:]
assert arguments[0] == "run", arguments
rest = arguments[arguments.index("--") + 1 :] if "--" in arguments else []
if "--example" in arguments:
    name = arguments[arguments.index("--example") + 1]
    assert any((root / folder / (name + ".rs")).is_file() for folder in ("examples", "tests/examples")), name
    built = pathlib.Path(os.environ["CARGO_TARGET_DIR"], "debug/examples", name)
    if built.is_file() and not rest:
        os.execv(built, [name])
else:
    assert arguments[arguments.index("-p") + 1] == "effects-cli", arguments
    os.execv({effects!r}, ["effects", *rest])
"""

# Stands in for `effects`: a server ends once it has said where it is, and a watch once a photo has its
# picture.
EFFECTS = """\
import os, signal, subprocess, sys
if sys.argv[1:2] not in (["emulator"], ["watch"]):
    os.execv({effects!r}, sys.argv)
server = subprocess.Popen([{effects!r}, *sys.argv[1:]], stdout=subprocess.PIPE, text=True)
print(server.stdout.readline(), end="", flush=True)
server.send_signal(signal.SIGINT)
sys.exit(0 if server.wait() in (0, 130) else 1)
"""


def snippets(page, language):
    """The snippets of a page in this language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{re.escape(language)}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


PYTHON = [(page, number) for page in PAGES for number in range(len(snippets(page, "python")))]


@pytest.mark.parametrize(("page", "number"), PYTHON)
def test_a_snippet_in_python(page, number, tmp_path):
    text = snippets(page, "python")[number]
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    path = tmp_path / f"test_snippet_{number}.py"
    path.write_text(text, encoding="utf-8")
    is_test = "def test_" in text
    command = [sys.executable, *(["-m", "pytest", "-q"] if is_test else []), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", [page for page in PAGES if snippets(page, "sh")])
def test_the_snippets_in_sh(page, tmp_path):
    effects = str(pathlib.Path(sys.executable).parent / "effects")
    programs = tmp_path / "programs"
    program(programs / "effects", EFFECTS.format(effects=effects))
    program(programs / "cargo", CARGO.format(root=str(ROOT), effects=effects))
    # What `--open` would show.
    program(programs / "xdg-open", "")
    folder = tmp_path / "folder"
    program(folder / ".ci" / "run", f"import os\nassert os.access({str(ROOT / '.ci' / 'run')!r}, os.X_OK)")
    furnish(folder)
    # A request that is refused fails the snippet.
    (tmp_path / ".curlrc").write_text("fail\nsilent\n", encoding="utf-8")
    text = "".join(snippets(page, "sh"))
    for name in ("curl", "jq"):
        if f"{name} " in text and shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    # A page that asks the gateway itself has a task that goes on.
    with spark_effects.Emulator(
        pictures="stub", **({"latency": 600, "clock": "virtual"} if "$URL" in text else {})
    ) as emulator:
        environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "EFFECTS_STATE_DIR": str(tmp_path / "state"),
            "EFFECTS_BASE_URL": emulator.base_url,
            "EFFECTS_API_KEY": emulator.api_key,
            "URL": emulator.base_url,
            "KEY": emulator.api_key,
            "CARGO_TARGET_DIR": os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target")),
        }
        # A journal with a row.
        line = [effects, "submit", "glass_ball", "https://example.com/cat.jpg"]
        submitted = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True, env=environment)
        environment["ID"] = submitted.stdout.strip()
        for text in snippets(page, "sh"):
            # Where a reader puts a key of their own.
            text = text.replace("EFFECTS_API_KEY=…", f"EFFECTS_API_KEY={emulator.api_key}")
            done = subprocess.run(
                ["sh", "-e", "-c", text],
                capture_output=True,
                text=True,
                cwd=folder,
                env=environment,
                timeout=300,
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


def program(path, text):
    """A program in Python."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\n{text}", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def furnish(folder):
    """What the snippets speak of: photos, a manifest of twenty rows, the examples, a plan of faults."""
    image = pytest.importorskip("PIL.Image", reason="it comes with tests/requirements.txt")
    (folder / "examples").symlink_to(ROOT / "examples")
    photo = image.open(PHOTO).convert("RGB")
    for name in ("photo.jpg", "photo.png", "cat.jpg"):
        photo.save(folder / name)
    (folder / "incoming").mkdir()
    photo.save(folder / "incoming" / "photo.png")
    rows = "".join(f"glass_ball,https://example.com/{number}.jpg\n" for number in range(20))
    (folder / "rows.csv").write_text(f"template,image\n{rows}", encoding="utf-8")
    [plan] = snippets("crates/effects-emulator/README.md", "toml")
    (folder / "plan.toml").write_text(plan, encoding="utf-8")


def test_every_snippet_is_run_or_says_why_not():
    languages = {
        "sh",
        "python",
        "rust",
        "rust,no_run",
        "sh,no_run",
        "python,no_run",
        "toml",
        "sql",
        "json",
        "text",
        "",
    }
    not_run = set()
    for page in PAGES:
        fences = re.findall(r"^```(.*)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)[::2]
        assert set(fences) <= languages, (page, fences)
        if any(fence.endswith("no_run") for fence in fences):
            not_run.add(page)
    assert not_run == set(NOT_RUN)
    assert len(PYTHON) >= 7


def test_the_snippets_in_rust_are_those_of_the_tests_in_rust():
    tested = (ROOT / "tests/src/lib.rs").read_text(encoding="utf-8")
    tested += (
        (ROOT / "crates/effects-emulator/src/lib.rs")
        .read_text(encoding="utf-8")
        .replace("../README", "../../crates/effects-emulator/README")
    )
    for page in PAGES:
        if snippets(page, "rust") or snippets(page, "rust,no_run"):
            assert f'include_str!("../../{page}")' in tested, page


def test_links_lead_somewhere():
    for page in PAGES:
        text = re.sub(
            r"^```.*?^```$", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
        )
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if "://" in target:
                continue
            # PyPI shows this one page alone.
            assert page != "python/README.md", target
            assert (ROOT / page).parent.joinpath(target.split("#")[0] or ".").exists(), f"{page}: {target}"
