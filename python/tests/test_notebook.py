"""What things show of themselves in a notebook, with no network."""

import base64
import importlib.util
import io
import json
import pickle
import re
import shutil
import subprocess
import sys

import pytest
from conftest import PHOTO, URL

import spark_effects
from spark_effects import Effect, Emulator, Job, Picture, Result, ResultList, TaskFailed
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


def test_a_task_shows_where_it_stands_and_how_to_resume_it():
    emulator = Emulator(clock="virtual", latency=60, pictures="stub")
    task = emulator.client(poll=0.01).submit("glass_ball", URL)
    seen = len(emulator.requests)
    assert "not looked at yet" in task._repr_mimebundle_()["text/html"]
    assert len(emulator.requests) == seen
    task.status()
    for word in (task.id, "in_progress", task.resume_line, "since its submission"):
        assert word in task._repr_mimebundle_()["text/html"]
    emulator.advance(60)
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


@pytest.fixture(scope="module")
def painted():
    """Three pictures as large as people ask for, and a failure."""
    looks = ("glass_ball", "felt_3d_polaroid", "plastic_bubble_figure_cartoon_text")
    jobs = [Job(look, PHOTO, width=1024, height=1024) for look in looks]
    with Emulator() as emulator:
        results = emulator.client(poll=0.02).map([*jobs, ("glas_ball", URL)]).all()
    assert [result.ok for result in results] == [True, True, True, False]
    return results


def batch(painted, count):
    """As many results, of which the last failed."""
    good = [painted[number % 3] for number in range(count - 1)]
    return ResultList(
        Result(index, one.job, one.effect, one.error) for index, one in enumerate([*good, painted[3]])
    )


def test_an_effect_and_a_picture_have_a_png_for_pages_that_take_no_html(painted):
    from PIL import Image

    effect = painted[0].effect
    for thing in (effect, effect.picture):
        bundle = thing._repr_mimebundle_()
        data = base64.b64decode(bundle["image/png"])
        assert data == thing._repr_png_()
        assert Image.open(io.BytesIO(data)).format == "PNG"
        assert thing._repr_html_() == bundle["text/html"]
    file = io.BytesIO()
    Image.new("RGB", (48, 32), "red").save(file, "WEBP")
    webp = Picture("abc", "https://example.com/x", None, None, file.getvalue())
    assert Image.open(io.BytesIO(webp._repr_png_())).size == (48, 32)
    link = Picture("abc", "https://example.com/x")
    assert link._repr_png_() is None
    assert "image/png" not in link._repr_mimebundle_()
    assert "not fetched" in link._repr_html_()
    broken = Picture("abc", "https://example.com/x", None, None, b"\xff\xd8\xff broken")
    assert broken._repr_png_() is None


def test_a_batch_stays_small_and_shows_every_result(painted):
    shown = batch(painted, 30)._repr_mimebundle_()
    assert shown["text/plain"] == "<30 results: 29 of 30 done, 0.87 USD>"
    html = shown["text/html"]
    assert len(html) <= 1_500_000
    assert html.count("<img") == 29
    assert html.count("<figcaption>") == 30
    # What went wrong comes first, and is red.
    first = html[html.index("<figure") :][: html[html.index("<figure") :].index("</figure>")]
    assert "InvalidRequest" in first
    assert "29: " in first
    assert "color:var(--jp-error-color1" in first
    assert "1 failed" in html
    more = batch(painted, 60)._repr_html_()
    assert more.count("<figcaption>") == 60
    assert len(more) <= 1_500_000


def test_how_long_a_task_usually_takes_is_read_from_what_its_event_knows(client):
    task = client.task("abc")
    word = "moderated (usually for ever)"
    known = {"event": "running", "task_id": "abc", "status": word, "progress": None, "eta": None}
    task._record_event(json.dumps(known), f"task abc {word}, 3.0 s", (word, None))
    assert "<th" in task._repr_html_()
    assert "usually" not in task._repr_html_().replace(word, "")
    eta = {"typical": {"secs": 12, "nanos": 500_000_000}, "p90": {"secs": 18, "nanos": 1}}
    task._record_event(json.dumps({**known, "eta": eta}), "in other words", (word, None))
    assert "13 s, 90 % under 19 s" in task._repr_html_()


def test_how_long_a_task_usually_takes_is_what_its_event_says():
    with Emulator(pictures="stub", latency=0.3) as emulator:
        client, told = emulator.client(poll="auto"), 0
        # Nothing is known before the first has ended.
        while not told:
            task = client.submit("glass_ball", URL)
            for event in task.events():
                if event.details.get("eta") is not None:
                    told += 1
                    assert event.text.endswith(f" (usually {task._eta()})")


def test_a_slice_of_results_is_a_grid(painted):
    results = batch(painted, 10)
    for part in (results[:3], results[::2], results.copy()):
        assert part._repr_html_().count("<figcaption>") == len(part)
    assert isinstance(results[0], Result)


def test_a_task_card_is_true_after_events_and_after_a_failure(emulator):
    client = emulator.client(poll=0.005)
    emulator.script("create", {"kind": "take", "seconds": 0.1})
    task = client.submit("glass_ball", URL)
    events = task.events()
    kinds = [next(events).kind, next(events).kind]
    assert "running" in kinds
    assert "in_progress" in task._repr_html_()
    assert {event.kind for event in events} <= {"running"}
    assert "completed" in task._repr_html_()
    assert "since its submission" not in task._repr_html_()
    assert task.to_dict()["status"] == "completed"

    for end in (lambda task: task.wait(), lambda task: (list(task.events()), task.wait())):
        emulator.script("create", {"kind": "fail", "code": "3009095", "message": "<no luck>"})
        task = client.submit("glass_ball", URL)
        with pytest.raises(TaskFailed):
            end(task)
        card = task._repr_html_()
        assert "failed" in card
        assert "&lt;no luck&gt;" in card
        assert "since its submission" not in card
    emulator.script("create", {"kind": "fail", "code": "3009095"})
    task = client.submit("glass_ball", URL)
    while not task.status().done:
        pass
    assert "3009095" in task._repr_html_()
    emulator.script("create", {"kind": "fail", "code": "3009095"})
    task = client.submit("glass_ball", URL)
    (result,) = client.map([task], polls_per_second=1000)
    assert not result.ok
    assert "failed" in task._repr_html_()


ENDS = {
    "wait": lambda client, task: task.wait(),
    "finish": lambda client, task: task.events().finish(),
    "events": lambda client, task: (list(task.events()), task.wait())[1],
    "map": lambda client, task: next(client.map([task], polls_per_second=1000)).unwrap(),
    "pickled": lambda client, task: pickle.loads(pickle.dumps(task)).wait(),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_time_is_measured_from_the_submission_however_the_end_was_seen(emulator, end):
    client = emulator.client(poll=0.005)
    emulator.script("create", {"kind": "take", "seconds": 0.4})
    task = client.submit("glass_ball", URL)
    # The wait begins when the task is half done.
    while (task.status().progress or 0) < 0.5:
        pass
    effect = ENDS[end](client, task)
    # From its wait it would be 0.2 s; the answer to the submission comes a moment after the task began.
    assert 0.3 <= effect.elapsed < 10
    assert task.wait().elapsed <= effect.elapsed + 0.05 or end == "pickled"


def test_what_is_wrong_and_the_catalogue_and_a_look_have_faces(client, emulator):
    wrong = client.check("glas_ball", URL, width=3)
    assert wrong._repr_html_().count("<tr>") == 3
    assert "did you mean &quot;glass_ball&quot;?" in wrong._repr_html_()
    assert "Nothing is wrong" in client.check("glass_ball", URL)._repr_html_()
    assert spark_effects.templates("spring")._repr_html_().count("<tr>") == 3 + 1
    task = client.submit("glass_ball", URL)
    task.wait()
    look = task.status()
    assert "completed" in look._repr_html_()
    assert "0.03 USD" in look._repr_html_()
    assert look._repr_mimebundle_()["text/plain"] == repr(look)


def test_plain_progress_in_a_notebook_is_not_shown_as_an_error(client, capsys, monkeypatch):
    class Stream(io.StringIO):
        pass

    # As a kernel's is; a notebook shows what goes there in red.
    Stream.__module__ = "ipykernel.iostream"
    monkeypatch.setattr(sys, "stderr", Stream())
    for name in ("tqdm", "tqdm.auto"):
        monkeypatch.setitem(sys.modules, name, None)
    list(client.map([("glass_ball", URL)] * 3, progress=True, polls_per_second=1000))
    client.run("glass_ball", URL, progress=True)
    assert sys.stderr.getvalue() == ""
    assert "3 of 3 done, 0 failed" in capsys.readouterr().out


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(BROWSER is None, reason="no browser is installed")
@pytest.mark.parametrize("width", [180, 400, 1100])
def test_nothing_is_cut_at_any_width(painted, client, tmp_path, width):
    task = client.submit("glass_ball", URL)
    shown = [
        batch(painted, 8)._repr_html_(),
        batch(painted, 50)._repr_html_(),
        painted[0].effect._repr_html_(),
        client.run("glass_ball", URL, fetch=False)._repr_html_(),
    ]
    # Tables scroll by themselves in every notebook.
    tables = [task._repr_html_(), client.check("glas_ball", URL)._repr_html_()]
    measure = """
        const edge = document.querySelector('.cell').getBoundingClientRect().right + 1;
        const wide = [...document.querySelectorAll('.cell *')].filter(one =>
            one.getBoundingClientRect().right > edge
            || one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== 'inline');
        document.title = 'wide: ' + wide.map(one => one.tagName).join() + ' of '
            + document.querySelectorAll('.cell *').length;
    """
    page = tmp_path / "page.html"
    cells = "".join(f'<div class="cell" style="width:{width}px">{one}</div>' for one in shown)
    tables = "".join(f"<div>{one}</div>" for one in tables)
    page.write_text(f"<!doctype html><meta charset=utf-8>{cells}{tables}<script>{measure}</script>")
    line = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", page.as_uri()]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120)
    title = re.search("<title>(.*?)</title>", done.stdout).group(1)
    assert re.fullmatch(r"wide:  of \d{3,}", title), title
