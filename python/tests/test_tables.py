"""Tables in and out: rows of a pandas table as jobs, results as a table; jobs out of async iterables."""

import asyncio
import copy
import json
import pickle
import sys
from decimal import Decimal

import numpy
import pytest
from conftest import URL

from spark_effects import InvalidRequest, Job, Result, ResultList

pandas = pytest.importorskip("pandas")

NONE = [None, float("nan"), numpy.nan, numpy.float64("nan"), pandas.NA, pandas.NaT]


def asked(emulator):
    """What was asked of the service, in the order of the jobs."""
    creates = [json.loads(one.body) for one in emulator.requests if one.endpoint == "create"]
    return [create["input"][0]["params"] for create in creates]


def table():
    return pandas.DataFrame(
        {
            "Template": ["glass_ball", "my_world", "glass_ball"],
            " image ": [URL, f"{URL}?2", f"{URL}?3"],
            "width": [1024, None, 512],
            "height": pandas.array([1024, None, 640], dtype="Int64"),
            "key": [17, 18, 19],
            "tag": ["spring", None, "autumn"],
            "customer": ["ann", "ben", "cid"],
        }
    )


def test_the_rows_of_a_table_are_jobs(client, emulator):
    results = client.map(table(), in_flight=1, submissions=1, polls_per_second=1000).all()
    assert [result.ok for result in results] == [True] * 3
    sides = [(one.get("width"), one.get("height")) for one in asked(emulator)]
    assert sides[0] == (1024, 1024)
    assert sides[1] in ((None, None), (1328, 1328))
    assert sides[2] == (512, 640)
    assert [result.job["customer"] for result in results] == ["ann", "ben", "cid"]
    frame = results.to_pandas()
    assert list(frame["key"]) == ["17", "18", "19"]
    assert list(frame["template"]) == ["glass_ball", "my_world", "glass_ball"]
    assert frame["cost"].sum() == Decimal("0.09")
    assert list(frame["task_id"]) == [result.effect.task_id for result in results]
    again = pickle.loads(pickle.dumps(results[0]))
    assert again.job["customer"] == "ann"
    assert again == results[0]


@pytest.mark.parametrize(
    "rows",
    [
        lambda frame: frame.itertuples(),
        lambda frame: frame.itertuples(index=False),
        lambda frame: frame.iterrows(),
        lambda frame: (row for _, row in frame.iterrows()),
        lambda frame: frame[["template", "image", "width", "height"]].to_dict("records"),
        lambda frame: [Job(row.template, row.image, width=row.width) for row in frame.itertuples()],
    ],
)
def test_rows_in_every_form(client, emulator, rows):
    frame = table().rename(columns=lambda name: name.strip().lower())
    results = client.map(rows(frame), in_flight=1, submissions=1, polls_per_second=1000).all()
    assert [result.error for result in results] == [None] * 3
    assert [one.get("width") for one in asked(emulator)][::2] == [1024, 512]


@pytest.mark.parametrize("missing", NONE)
def test_what_a_table_calls_missing_is_left_out(client, emulator, missing):
    job = Job("glass_ball", URL, width=missing, height=1024.0, key=missing, tag=missing)
    (result,) = client.map([job])
    assert result.ok
    assert asked(emulator)[0]["height"] == 1024
    assert asked(emulator)[0].get("width") in (None, 1328)


@pytest.mark.parametrize("missing", [float("nan"), numpy.float32("nan"), pandas.NA, pandas.NaT, None])
def test_what_a_dict_of_a_table_calls_missing_is_missing_among_the_results_too(client, missing):
    jobs = [
        {"template": "glass_ball", "image": URL, "key": "first", "tag": "spring"},
        {"template": "glass_ball", "image": f"{URL}?2", "key": missing, "tag": missing},
        {"template": missing, "image": URL},
    ]
    frame = client.map(jobs, polls_per_second=1000).all().to_pandas()
    assert list(frame["ok"]) == [True, True, False]
    assert list(frame["template"].isna()) == [False, False, True]
    assert list(frame["key"].isna()) == list(frame["tag"].isna()) == [False, True, True]


def test_a_missing_photo_is_said(client, emulator):
    (result,) = client.map(pandas.DataFrame({"template": ["glass_ball"], "image": [None]}))
    assert isinstance(result.error, InvalidRequest)
    assert "image" in str(result.error)
    assert emulator.counts["creates_seen"] == 0


def test_a_side_that_is_no_whole_number_is_refused(client, emulator):
    (result,) = client.map([Job("glass_ball", URL, width=1024.5)])
    assert "width is 1024.5: give a whole number" in str(result.error)
    assert emulator.counts["creates_seen"] == 0


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (["template", "picture"], "no column 'image'"),
        (["template", "image", "widht"], "'widht' looks like 'width'"),
        (["template", "image", "IMAGE "], "both tell the image"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_whole(client, emulator, columns, words):
    frame = pandas.DataFrame([["glass_ball", URL, 512][: len(columns)]], columns=columns)
    with pytest.raises(TypeError, match=words):
        client.map(frame)
    assert emulator.counts["creates_seen"] == 0


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("width_px", "width"),
        ("Image Width", "width"),
        ("wide", "width"),
        ("pixelHeight", "height"),
        ("h", "height"),
    ],
)
def test_a_column_that_may_be_meant_as_a_side_is_warned_of_once(client, emulator, caplog, column, field):
    frame = pandas.DataFrame({"template": ["glass_ball"] * 2, "image": [URL, f"{URL}?2"], column: [512, 640]})
    assert [result.ok for result in client.map(frame)] == [True, True]
    words = (
        f"the column {column!r} is not read, and the {field} is the default of 1328: did you mean {field!r}?"
    )
    assert [record.getMessage() for record in caplog.records if "column" in record.getMessage()] == [words]


def test_a_column_of_the_callers_own_is_not_warned_of(client, emulator, caplog):
    frame = pandas.DataFrame(
        {
            "template": ["glass_ball"],
            "image": [URL],
            "width": [512],
            "original_width": [9],
            "bright": [True],
            "customer": ["ann"],
        }
    )
    assert [result.job["customer"] for result in client.map(frame)] == ["ann"]
    assert "column" not in caplog.text


class Polars:
    """What a polars table has of ways in."""

    columns = ("template", "image", "width")

    def iter_rows(self, *, named):
        assert named
        yield {"template": "glass_ball", "image": URL, "width": None}
        yield {"template": "my_world", "image": URL, "width": 512}


def test_a_polars_table_gives_its_rows(client, emulator):
    results = client.map(Polars(), in_flight=1, submissions=1, polls_per_second=1000).all()
    assert [result.ok for result in results] == [True, True]
    assert asked(emulator)[1]["width"] == 512


def test_results_as_a_table_tell_what_went_wrong(client, monkeypatch):
    results = client.map([("glass_ball", URL), ("glas_ball", URL), 3], polls_per_second=1000).all()
    frame = results.to_pandas()
    assert list(frame["ok"]) == [True, False, False]
    assert list(frame["template"])[:2] == ["glass_ball", "glas_ball"]
    assert frame["error"][1] == "InvalidRequest"
    assert "glas_ball" in frame["message"][1]
    assert len(results[1:].to_pandas()) == 2
    assert list(ResultList().to_pandas().columns) == list(frame.columns)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        results.to_pandas()


def test_results_as_dicts_are_json(client):
    results = client.map([("glass_ball", URL), ("glas_ball", URL)], polls_per_second=1000).all()
    good, bad = json.loads(json.dumps([result.to_dict() for result in results]))
    assert good["effect"]["cost"] == "0.03"
    assert good["effect"]["pictures"][0]["format"] == "png"
    assert good["error"] is None
    assert bad["effect"] is None
    assert bad["error"]["error"] == "InvalidRequest"
    task = client.submit("glass_ball", URL)
    effect = task.wait()
    facts = json.loads(
        json.dumps([effect.to_dict(), effect.usage.to_dict(), task.to_dict(), task.status().to_dict()])
    )
    assert facts[0]["task_id"] == facts[2]["task_id"] == facts[3]["task_id"] == task.id
    assert facts[1] == {"cost": "0.03", "discount": "1"}
    assert facts[2]["resume_line"] == task.resume_line


def test_results_are_equal_by_what_they_tell(client):
    array = numpy.zeros((600, 600, 3), dtype="uint8")
    jobs = [("glass_ball", URL), ("glas_ball", URL), Job("glass_ball", array), {"template": "my_world"}]
    results = client.map(jobs, polls_per_second=1000).all()
    for result in results:
        for again in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
            assert again == result
            assert hash(again) == hash(result)
    assert len(set(results)) == 4
    assert results[0] != results[1] != object()
    one = results[2]
    other = Result(one.index, Job("glass_ball", array + 1), one.effect, one.error)
    assert one != other
    assert results == pickle.loads(pickle.dumps(results))


def test_jobs_out_of_an_async_generator(emulator):
    drawn = []

    async def jobs():
        for number in range(30):
            await asyncio.sleep(0)
            drawn.append(number)
            yield ("glass_ball", f"{URL}?{number}")

    async def main():
        client = emulator.async_client(poll=0.005)
        results = await client.map(jobs(), in_flight=4, polls_per_second=1000).all()
        return [result.effect.task_id for result in results]

    assert len(set(asyncio.run(main()))) == 30
    assert drawn == list(range(30))


def test_an_async_generator_is_closed_when_the_results_are_left(emulator):
    closed = []

    async def jobs():
        try:
            yield ("glass_ball", URL)
            # No other job ever comes.
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    async def main():
        client = emulator.async_client(poll=0.005)
        results = client.as_completed(jobs(), polls_per_second=1000)
        async for result in results:
            assert result.ok
            results.stop()
        return True

    assert asyncio.run(asyncio.wait_for(main(), 20))
    assert closed == [True]


def test_an_error_of_an_async_generator_is_the_caller_s(emulator):
    async def jobs():
        yield ("glass_ball", URL)
        raise KeyError("no more photos")

    async def main():
        return await emulator.async_client(poll=0.005).map(jobs(), polls_per_second=1000).all()

    with pytest.raises(KeyError, match="no more photos"):
        asyncio.run(main())


@pytest.mark.parametrize("way", ["map", "as_completed"])
def test_a_cancellation_of_an_async_generator_s_own_is_not_its_end(emulator, way):
    async def jobs():
        yield ("glass_ball", URL)
        # A group of tasks was cancelled, say.
        raise asyncio.CancelledError

    async def main():
        results = getattr(emulator.async_client(poll=0.005), way)(jobs(), polls_per_second=1000)
        with pytest.raises(asyncio.CancelledError):
            await results.all()

    asyncio.run(main())


def test_an_async_iterable_of_the_blocking_client_is_refused(client, emulator):
    async def jobs():
        yield ("glass_ball", URL)

    coming = jobs()
    with pytest.raises(TypeError, match="AsyncClient draws it"):
        client.map(coming)
    assert emulator.requests == []
