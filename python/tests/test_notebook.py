"""What things show of themselves in a notebook, with no network."""

import base64
import importlib.util
import io
import sys

import pytest
from conftest import PHOTO, URL

from spark_effects import Effect, Emulator, Picture
from spark_effects._progress import Meter


def test_an_effect_shows_its_picture_and_what_it_is(client, emulator):
    effect = client.run("glass_ball", URL)
    seen = len(emulator.requests)
    shown = effect._repr_mimebundle_()
    assert base64.b64encode(effect.bytes()).decode() in shown["text/html"]
    for word in ("glass_ball", effect.task_id, "0.03 USD", " s"):
        assert word in shown["text/html"]
    bare = client.run("glass_ball", URL, fetch=False)._repr_mimebundle_()
    assert "<img" not in bare["text/html"]
    assert "http://127.0.0.1" in bare["text/html"]
    assert len(emulator.requests) == seen + 2


def test_the_size_is_the_picture_s():
    with Emulator() as emulator:
        effect = emulator.client(poll=0.02).run("glass_ball", PHOTO, width=512, height=640)
    assert "512x640" in effect._repr_mimebundle_()["text/html"]


def test_a_task_shows_where_it_stands_and_how_to_resume_it(client, emulator):
    emulator.script("create", {"kind": "take", "seconds": 0.1})
    task = client.submit("glass_ball", URL)
    seen = len(emulator.requests)
    assert "not looked at yet" in task._repr_mimebundle_()["text/html"]
    assert len(emulator.requests) == seen
    task.status()
    for word in (task.id, "in_progress", task.resume_line, "since its submission"):
        assert word in task._repr_mimebundle_()["text/html"]
    task.wait()
    assert "completed" in task._repr_mimebundle_()["text/html"]
    assert task._repr_mimebundle_()["text/plain"] == repr(task)


def test_results_show_a_grid(client):
    given = [("glass_ball", URL), ("glas_ball", URL), ("my_world", URL)]
    coming = client.map(given, polls_per_second=1000)
    assert repr(coming) == "<Results: iterate over them, or take all() that are still to come>"
    assert repr(client.task("abc").events()) == "<Events of task abc>"
    results = coming.all()
    shown = results._repr_mimebundle_()["text/html"]
    assert shown.count("<img") == 2
    assert "InvalidRequest" in shown
    assert "2 of 3 done, 0.06 USD" in shown
    assert "<img" in results[0]._repr_mimebundle_()["text/html"]


def test_what_the_service_says_is_escaped(emulator):
    client = emulator.client(poll=0.005)
    message = "<script>alert(1)</script>"
    emulator.script("create", {"kind": "fail", "code": "3009095", "message": message})
    results = client.map([("glass_ball", URL)]).all()
    assert message in str(results[0].error)
    assert "<script>" not in results._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [("JPEG", {}, "48x32"), ("WEBP", {}, "48x32"), ("JPEG", {"progressive": True}, "48x32")],
)
def test_the_size_is_told_whatever_the_picture_is(name, options, size):
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (48, 32)).save(file, name, **options)
    picture = Picture("abc", "https://example.com/x", None, None, file.getvalue())
    effect = Effect("abc", [picture], (None, None), None, None, "{}", "glass_ball", 1.0)
    assert size in effect._repr_mimebundle_()["text/html"]


def test_a_link_that_would_run_what_a_stranger_wrote_is_no_link():
    picture = Picture("abc", "javascript:alert('x')//<b>")
    effect = Effect("<i>abc</i>", [picture], (None, None), None, None, "{}", "<u>x</u>", 1.0)
    html = effect._repr_mimebundle_()["text/html"]
    for bad in ("href", "<b>", "<i>", "<u>"):
        assert bad not in html


@pytest.mark.parametrize("tqdm", [True, False])
@pytest.mark.parametrize("stderr", ["none", "closed", "goes"])
def test_progress_without_stderr_disturbs_nothing(client, capsys, monkeypatch, tqdm, stderr):
    if not tqdm:
        monkeypatch.setitem(sys.modules, "tqdm", None)
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    gone = io.StringIO()
    if stderr == "closed":
        gone.close()
    monkeypatch.setattr(sys, "stderr", None if stderr == "none" else gone)
    results = client.map([("glass_ball", URL)] * 3, progress=True, polls_per_second=1000)
    gone.close()
    assert [result.ok for result in results] == [True] * 3
    assert capsys.readouterr().out == ""


def test_progress_with_and_without_tqdm(client, capsys, monkeypatch):
    given = [("glass_ball", URL)] * 3
    if importlib.util.find_spec("tqdm"):
        list(client.map(given, progress=True, polls_per_second=1000))
        assert "3/3" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    assert Meter(3)._bar is None
    list(client.map(given, progress=True, polls_per_second=1000))
    assert "3 of 3 done, 0 failed, 0.09 USD" in capsys.readouterr().err
