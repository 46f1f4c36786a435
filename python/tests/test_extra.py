"""Parameters that the package does not know: they are sent, and tell jobs apart."""

import asyncio
import json
import pickle

import pytest
from conftest import URL

from spark_effects import InvalidRequest, Job


def sent(emulator):
    """What each submission asks for."""
    creates = [seen for seen in emulator.requests if seen.endpoint == "create"]
    return [json.loads(seen.body)["input"][0]["params"] for seen in creates]


def test_run_and_submit_send_them(emulator, client):
    extra = {"seed": 3, "style": {"name": "soft", "levels": [1, 2.5, True]}}
    client.run("glass_ball", URL, width=512, extra=extra, fetch=False)
    client.submit("glass_ball", URL, extra={"seed": 4}).wait(fetch=False)

    async def awaited():
        await emulator.async_client(poll=0.005).run("glass_ball", URL, extra={"seed": 5}, fetch=False)

    asyncio.run(awaited())
    first, *others = sent(emulator)
    assert first == {"image_input1": URL, "template_id": "glass_ball", "width": 512, **extra}
    assert [params["seed"] for params in others] == [4, 5]


def test_jobs_and_tables_have_them_and_are_told_apart_by_them(emulator, client, tmp_path):
    jobs = [
        Job("glass_ball", URL, extra={"seed": 1}),
        Job("glass_ball", URL),
        {"template": "glass_ball", "image": URL, "extra": {"seed": 2}},
    ]
    assert pickle.loads(pickle.dumps(jobs[0])) == jobs[0]
    for _ in range(2):
        results = client.map(jobs, journal=tmp_path / "run.db", fetch=False).all()
        assert [result.ok for result in results] == [True] * 3
        assert sorted(params.get("seed", 0) for params in sent(emulator)) == [0, 1, 2]


def test_a_known_or_misspelt_one_is_refused_and_nothing_is_sent(emulator, client):
    for extra, words in [
        ({"widht": 512}, 'did you mean "width"'),
        ({"height": 512}, 'give it as "height"'),
        ({"seed": None}, "is null"),
        ({"seed": float("nan")}, "extra is"),
        ({"seed": object()}, "extra is"),
    ]:
        for act in (client.run, client.submit, client.check):
            with pytest.raises(InvalidRequest, match=words):
                act("glass_ball", URL, extra=extra)
        with_it = Job("glass_ball", URL, extra=extra)
        (result,) = client.map([with_it]).all()
        assert isinstance(result.error, InvalidRequest)
    with pytest.raises(TypeError, match="give a dict"):
        client.run("glass_ball", URL, extra="seed")
    assert client.check("glass_ball", URL, extra={"seed": 3}) == []
    assert sent(emulator) == []
