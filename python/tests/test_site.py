"""The site's generated blocks say what the code does, and its pages are whole. `.ci/run` builds the site."""

import io
import json
import pathlib
import re
import subprocess
import sys

import pytest
from conftest import PHOTO, ROOT

import spark_effects

sys.path.insert(0, str(ROOT / "docs" / "generator"))

import blocks
import diagrams
import links
import python_reference

EFFECTS = str(pathlib.Path(sys.executable).parent / "effects")
DOCS = sorted((ROOT / "docs").rglob("*.md"))


@pytest.fixture(autouse=True)
def the_command_of_the_package(monkeypatch):
    monkeypatch.setenv("EFFECTS", EFFECTS)


def printed(*arguments, cwd=None):
    """What the command prints with `--json`, each object."""
    done = subprocess.run([EFFECTS, *arguments, "--json"], capture_output=True, text=True, cwd=cwd)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_each_block_that_a_page_names_is_made():
    named = {
        name for page in DOCS for name in re.findall(r"<!-- generated: (\S+) -->", page.read_text("utf-8"))
    }
    assert named == set(blocks.BLOCKS)
    for name in named:
        assert len(blocks.block(name)) > 500, name


def test_the_errors_are_those_of_the_exit_codes_and_of_python():
    kinds = {name: code for _, name, _, code, _ in blocks.error_kinds()}
    documented = {kind: row["code"] for row in blocks.help()["exit_codes"] for kind in row["kinds"]}
    assert kinds == documented
    for _, _, python, _, means in blocks.error_kinds():
        assert hasattr(spark_effects, python) or python == "KeyboardInterrupt"
        assert means.endswith(".")


def test_the_codes_are_those_that_a_check_finds():
    codes = {code for code, *_ in blocks.listed_codes()}
    assert len(codes) == 9
    [found] = printed("check", "nope", str(PHOTO), "--width", "1")
    assert (
        {problem["code"] for problem in found["problems"] if problem["code"]}
        == {"3009003", "3009004"}
        <= codes
    )


def test_every_option_of_every_command_is_in_the_reference():
    text = blocks.block("command")
    waiting = [blocks.help(), *blocks.help()["commands"]]
    while waiting:
        one = waiting.pop()
        waiting += one.get("commands", []) if one is not blocks.help() else []
        assert one is blocks.help() or f"## effects {one['name']}\n" in text
        for option in one["options"]:
            assert all(f"`{flag}" in text for flag in option["flags"]), option


def test_every_public_name_of_python_is_in_the_reference():
    text = blocks.block("python")
    for name in spark_effects.__all__:
        thing = getattr(spark_effects, name)
        if name == "errors":
            continue
        assert f"{{ #{name} }}" in text, name
        for member, value in vars(thing).items() if isinstance(thing, type) else ():
            if member[0] != "_" and (callable(value) or isinstance(value, property)):
                assert f"{{ #{name}.{member} }}" in text, f"{name}.{member}"
    assert python_reference.names()["Client"]


def test_what_the_command_prints_is_as_the_published_schemas_say(tmp_path):
    jsonschema = pytest.importorskip("jsonschema", reason="it comes with tests/requirements.txt")
    schemas = {
        name.removeprefix("schemas/"): text for name, text in blocks.files() if name.startswith("schemas/")
    }
    (tmp_path / "photo.png").write_bytes(PHOTO.read_bytes())
    (tmp_path / "rows.csv").write_text("template,image\nglass_ball,photo.png\nnope,photo.png\n", "utf-8")
    small = ["--width", "512", "--height", "512", "--emulator"]
    seen = set()
    for line in (
        ["templates"],
        ["check", "nope", "photo.png", "--width", "1"],
        ["run", "glass_ball", "photo.png", *small],
        ["run", "nope", "photo.png"],
        ["batch", "rows.csv", "--out", "out", "--emulator"],
        ["profile", "list"],
    ):
        for thing in printed(*line, cwd=tmp_path):
            seen.add(thing["schema"])
            jsonschema.Draft202012Validator(json.loads(schemas[f"{thing['schema']}.json"])).validate(thing)
    assert seen >= {f"effects.{name}.v1" for name in ("template", "check", "run", "error", "row", "batch")}
    for text in schemas.values():
        jsonschema.Draft202012Validator.check_schema(json.loads(text))


def test_each_template_has_a_picture():
    image = pytest.importorskip("PIL.Image", reason="it comes with tests/requirements.txt")
    made = blocks.thumbnails()
    assert set(made) == {template.value for template in spark_effects.Template}
    assert len(set(made.values())) == 30
    for picture in made.values():
        assert image.open(io.BytesIO(picture)).size == (320, 320)
        assert len(picture) < 60_000


def test_the_diagrams_name_what_the_source_names():
    core, jobs = ROOT / "crates/effects-core/src", ROOT / "crates/effects-jobs/src"
    sources = {
        "run": "".join(
            (core / "run" / name).read_text("utf-8") for name in ("submit.rs", "wait.rs", "outcome.rs")
        ),
        "batch": "".join(path.read_text("utf-8") for path in (core / "batch").glob("*.rs")),
        "job": "".join(path.read_text("utf-8") for path in (jobs / "step.rs", jobs / "end.rs")),
    }
    for name, spec in diagrams.DIAGRAMS.items():
        for *_, words, _ in spec["boxes"].values():
            for state in re.findall(r"\b[A-Z]\w+", words):
                assert re.search(rf"\b{state}\b", sources[name]), (name, state)
        for arrow in spec["arrows"]:
            assert {arrow[0], arrow[2]} <= set(spec["boxes"]), arrow


def test_each_page_opens_with_something_to_run_and_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    for page in DOCS:
        name = page.relative_to(ROOT / "docs").as_posix()
        assert f"- {name}\n" in navigation, name
        lines = page.read_text("utf-8").splitlines()
        assert lines[0].startswith("# "), name
        assert any(line.startswith("```") for line in lines[:14]), name


def test_the_readme_fits_two_screens_and_has_its_two_commands():
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 110
    assert (
        "cargo run --release -p effects-cli -- run glass_ball examples/chelsea.png --emulator -o out.png"
        in text
    )
    assert "\n.ci/run\n" in text


def test_links_out_of_the_docs_lead_to_pages_of_the_site():
    text = "[a](../examples/jobs.rs) [b](money.md#budgets) [c](https://example.com)\n\n```\n[d](../nowhere)\n```\n"
    assert links.rewritten(text, ROOT, "docs/a.md", "a.md") == text.replace(
        "../examples/jobs.rs", "repository/examples/jobs.rs.md"
    )
    with pytest.raises(FileNotFoundError, match="nowhere"):
        links.rewritten("[a](../nowhere.rs)", ROOT, "docs/a.md", "a.md")
    pages = dict(links.pages_of_linked_files(ROOT))
    assert "repository/CHANGELOG.md" in pages
    assert "#[tokio::main" in pages["repository/examples/embed_hyper.rs.md"]


def test_the_comparison_has_92_rows_and_a_pointer_for_each_yes():
    text = (ROOT / "docs/comparison.md").read_text("utf-8")
    rows = [
        line.strip("| ").split(" | ") for line in text.splitlines() if re.match(r"\| (?!feature |---)", line)
    ]
    assert len(rows) == 92
    assert len({feature for feature, *_ in rows}) == 92
    for feature, verdict, where in rows:
        assert verdict in {"yes", "partly", "no", "n/a"}, feature
        pointers = re.findall(r"\]\(([^)#]*)#?([^)]*)\)", where)
        assert pointers or verdict != "yes", feature
        assert where, feature
        for path, anchor in pointers:
            page = (ROOT / "docs" / path).resolve()
            assert page.exists(), (feature, path)
            assert not anchor or anchor in anchors(page), (feature, path, anchor)
    verdicts = [verdict for _, verdict, _ in rows]
    assert verdicts.count("yes") + verdicts.count("n/a") >= 82


def anchors(page):
    """The anchors of a page, with those of its generated blocks."""
    text = re.sub(r"<!-- generated: (\S+) -->", lambda found: blocks.block(found[1]), page.read_text("utf-8"))
    headings = re.findall(r"^#+ (.*?)(?: \{ #(\S+) \})?$", text, re.MULTILINE)
    return {
        own or re.sub(r"[^\w\s-]", "", words).strip().lower().replace(" ", "-") for words, own in headings
    }
