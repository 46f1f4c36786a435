"""The emulator as a test tool."""

import asyncio
import pickle
import urllib.request

import pytest
from conftest import URL

import spark_effects
from spark_effects import AsyncClient, Client, EffectsError, Emulator, Pace, Policy, TaskFailed


def test_time_moves_when_it_is_told_to():
    with Emulator(clock="virtual", latency=60, pictures="stub") as emulator:
        client = emulator.client(poll=0.005)
        task = client.submit("glass_ball", URL)
        emulator.advance(59)
        assert task.status().status == "in_progress"
        emulator.advance(2)
        assert task.wait().task_id == task.id
    with Emulator() as emulator, pytest.raises(RuntimeError, match="real"):
        emulator.advance(1)


def test_the_record_shows_requests_without_the_key(emulator, client):
    client.run("glass_ball", URL)
    create, look, picture = emulator.requests
    assert (create.method, create.path) == ("POST", "/model/v1/generation")
    assert dict(create.headers)["authorization"] == "[redacted]"
    assert (look.endpoint, look.status) == ("task", 200)
    assert picture.endpoint == "file"
    assert emulator.counts["accepted"] == 1
    assert str(emulator.spent) == "0.03"
    assert create.task == look.task is not None
    assert emulator.counts["by_body"] == {create.body_hash: 1}
    assert look.task in look.answer["body"]
    emulator.reset()
    assert emulator.requests == []


def test_a_reset_begins_the_plan_anew_unless_it_is_to_be_kept(emulator, client):
    emulator.follow({"fault": [{"on": "create", "kind": "fail", "code": "3009095"}]})
    emulator.reset(keep="plan")
    with pytest.raises(TaskFailed):
        client.run("glass_ball", URL)
    emulator.reset()
    client.run("glass_ball", URL)
    with pytest.raises(ValueError, match="keep"):
        emulator.reset(keep=["tasks"])


def test_each_key_has_a_world_of_its_own_on_request():
    with Emulator(pictures="stub", isolate_keys=True) as emulator:
        first, second = (emulator.client(api_key=f"{emulator.api_key}.{name}") for name in ("one", "two"))
        task = first.submit("glass_ball", URL)
        assert task.status().task_id == task.id
        with pytest.raises(EffectsError) as missing:
            second.task(task.id).status()
        assert missing.value.status == 404
        assert emulator.counts["accepted"] == 0


def test_links_lead_to_the_public_address_and_pages_of_an_origin_may_ask(monkeypatch):
    origin = "http://localhost:3000"
    with Emulator(pictures="stub", public_url="https://mock.example/at", cors=origin) as emulator:
        (picture,) = emulator.client().submit("glass_ball", URL).wait(fetch=False).pictures
        assert picture.url.startswith("https://mock.example/at/")
        request = urllib.request.Request(f"{emulator.base_url}/healthz", headers={"Origin": origin})
        with urllib.request.urlopen(request) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == origin


def test_an_emulator_that_others_can_reach_is_warned_of(caplog):
    with Emulator(host="0.0.0.0", pictures="stub"):
        assert "other machines can reach this emulator" in caplog.text


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("host", "localhost", ValueError),
        ("host", 1, TypeError),
        ("public_url", "mock.example", ValueError),
        ("cors", "localhost:3000", ValueError),
        ("cors", [3000], TypeError),
        ("isolate_keys", "yes", TypeError),
        ("allow_private", 1, TypeError),
    ],
)
def test_an_option_that_cannot_be_used_is_named(option, value, error):
    with pytest.raises(error, match=f"^{option}"):
        Emulator(**{option: value})


def test_worlds_of_their_own_are_not_kept_in_a_folder(tmp_path):
    with pytest.raises(ValueError, match="isolate_keys"):
        Emulator(isolate_keys=True, data_dir=tmp_path)


def test_scripts_and_plans_are_checked(emulator):
    for endpoint, fault in [("create", {"kind": "stale"}), ("create", "nonsense"), ("nowhere", None)]:
        with pytest.raises(ValueError):
            emulator.script(endpoint, fault)
    with pytest.raises(ValueError, match="faults"):
        emulator.follow({"fault": [{"on": "create"}]})
    with pytest.raises(ValueError, match=r'^price is "abc": give an amount in USD such as "0\.03"$'):
        Emulator(price="abc")
    with pytest.raises(ValueError, match="latency"):
        Emulator(latency="2 parsecs")
    with pytest.raises(ValueError, match="clock"):
        Emulator(clock="sundial")


def test_a_stopped_one_says_so():
    emulator = Emulator()
    emulator.stop()
    emulator.stop()
    with pytest.raises(RuntimeError, match="stopped"):
        _ = emulator.requests
    with pytest.raises(spark_effects.TransportError):
        emulator.client(wait_timeout=0.05).run("glass_ball", URL)


def test_a_client_of_it_keeps_it_alive_and_nothing_else_of_it_travels():
    effect = Emulator(pictures="stub").client(poll=0.005).run("glass_ball", URL)
    assert effect.bytes()
    with Emulator(pictures="stub") as emulator:
        with pytest.raises(TypeError, match="base_url and api_key"):
            pickle.dumps(emulator)
        emulator.client(poll=0.005).run("glass_ball", URL)
        seen = emulator.requests[0]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(seen, protocol)) == seen


def test_price_and_faults_of_the_start():
    plan = {"seed": 1, "fault": [{"on": "task", "nth": 1, "kind": "status", "status": 503}]}
    with Emulator(price="0.10", faults=plan, pictures="stub") as emulator:
        policy = spark_effects.Policy(poll=0.005, retry=spark_effects.Backoff(first=0.001))
        effect = emulator.client().run("glass_ball", URL, policy=policy)
        assert str(effect.usage.cost) == "0.10"
        assert [seen.status for seen in emulator.requests] == [200, 503, 200, 200]


def looks_at(emulator):
    return sum(seen.endpoint == "task" for seen in emulator.requests)


def test_its_clients_look_every_tenth_of_a_second():
    with Emulator(pictures="stub", latency=1) as emulator:
        made = (emulator.client(), Client(base_url=emulator.base_url, api_key=emulator.api_key))
        for client in made:
            client.run("glass_ball", URL, fetch=False)
            # A learned pace starts with the service's own durations: it looks once or twice in a second.
            assert looks_at(emulator) > 4
            emulator.reset()
        asyncio.run(emulator.async_client().run("glass_ball", URL, fetch=False))
        assert looks_at(emulator) > 4


def test_a_client_of_an_emulator_keeps_the_pace_that_it_is_given():
    with Emulator(pictures="stub") as emulator:
        assert emulator.client().policy == Policy(poll=0.1)
        assert emulator.async_client(wait_timeout=7).policy == Policy(poll=0.1, wait_timeout=7)
        for given in (2, Pace.backoff(1, 2), Pace()):
            assert emulator.client(poll=given).policy == Policy(poll=given)
        address, key = emulator.base_url, emulator.api_key
    # What listens there afterwards is no emulator of this process.
    assert AsyncClient(base_url=address, api_key=key).policy == Policy()
