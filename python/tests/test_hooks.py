"""The hooks of a client: functions that are told of requests, responses and events, and change nothing."""

import asyncio
import logging
import pickle
import threading

import pytest
from conftest import PHOTO, URL

from spark_effects import (
    Client,
    Emulator,
    Event,
    ExchangeRequest,
    ExchangeResponse,
    InvalidRequest,
    OutcomeUnknown,
)


class Heard:
    """Keeps what the hooks of a client are told."""

    def __init__(self):
        self.requests, self.responses, self.events, self.threads = [], [], [], set()

    def of(self, calls):
        def hook(one):
            self.threads.add(threading.get_ident())
            calls.append(one)

        return hook

    def hooks(self):
        names = {"on_request": self.requests, "on_response": self.responses, "on_event": self.events}
        return {name: self.of(calls) for name, calls in names.items()}


def done(client, method, *arguments, **options):
    """What a method of a client of either kind comes to."""

    async def main():
        return await getattr(client, method)(*arguments, **options)

    return (
        getattr(client, method)(*arguments, **options) if isinstance(client, Client) else asyncio.run(main())
    )


@pytest.mark.parametrize("awaits", [False, True])
def test_each_exchange_and_event_of_a_run_is_told_before_its_result(emulator, awaits):
    # Long enough to be seen to run on a busy machine, too.
    emulator.script("create", {"kind": "status", "status": 429}, {"kind": "take", "seconds": 1})
    heard = Heard()
    make = emulator.async_client if awaits else emulator.client
    client = make(poll=0.02, headers={"X-Team": "hunter2"}, **heard.hooks())
    effect = done(client, "run", "glass_ball", PHOTO)

    # Downloads, too.
    seen = emulator.requests
    assert seen[-1].endpoint == "file"
    assert [(one.method, one.url) for one in heard.requests] == [
        (one.method, emulator.base_url + one.path) for one in seen
    ]
    assert [one.status for one in heard.responses] == [one.status for one in seen]
    assert [one.request for one in heard.responses] == heard.requests
    assert [one.request_id for one in heard.responses] == [
        dict(one.answer["headers"]).get("x-request-id") for one in seen
    ]
    create = next(one for one in heard.requests if one.url.endswith("/generation"))
    assert create.request_id == create.headers["x-request-id"]
    assert (create.task_id, create.headers["content-type"]) == (None, "application/json")
    assert heard.requests[-1].task_id == effect.task_id
    throttled = next(one for one in heard.responses if one.status == 429)
    assert "HTTP 429" in throttled.error
    assert throttled.body
    assert heard.responses[-1].error is None
    assert 0 < heard.responses[-1].elapsed < 30
    assert [event.kind for event in heard.events][:3] == ["retrying", "submitted", "running"]
    # In the thread that waits, which is the loop's own.
    assert heard.threads == {threading.get_ident()}
    for one in (*heard.requests, *heard.responses):
        assert one.headers.get("authorization", "[redacted]") == "[redacted]"
        assert one.headers.get("x-team", "[redacted]") == "[redacted]"
        shown = f"{one!r} {one._facts()}"
        assert emulator.api_key not in shown
        assert "hunter2" not in shown
        assert pickle.loads(pickle.dumps(one)) == one


def test_a_hook_that_waits_itself_is_told_the_rest_afterwards_in_its_order():
    emulator = Emulator(clock="virtual", latency=60, pictures="stub")
    heard, other, within, depths = Heard(), emulator.client(), [], []

    def on_event(event):
        within.append(event)
        depths.append(len(within))
        # Looks go on until this one has an answer.
        other.task(event.task_id).status()
        within.pop()
        if len(heard.requests) > 5:
            emulator.advance(60)

    client = emulator.client(poll=0.01, **(heard.hooks() | {"on_event": on_event}))
    assert client.run("glass_ball", URL).bytes()
    assert len(heard.requests) > 5
    assert set(depths) == {1}
    assert [one.request for one in heard.responses] == heard.requests
    assert heard.requests == sorted(heard.requests, key=lambda one: one.number)


@pytest.mark.parametrize("awaits", [False, True])
def test_submit_and_many_are_told_too(emulator, awaits):
    heard = Heard()
    make = emulator.async_client if awaits else emulator.client
    client = make(poll=0.01, **heard.hooks())
    task = done(client, "submit", "glass_ball", URL)
    assert [str(event) for event in heard.events] == [f"task {task.id} submitted"]
    assert [one.status for one in heard.responses] == [200]

    async def main():
        return await client.map([("glass_ball", URL)] * 3).all()

    results = asyncio.run(main()) if awaits else client.map([("glass_ball", URL)] * 3).all()
    submitted = {event.task_id for event in heard.events if event.kind == "submitted"}
    assert submitted == {task.id, *(result.effect.task_id for result in results)}
    assert len([one for one in heard.requests if one.method == "POST"]) == 4
    assert len(heard.responses) == len(heard.requests)


@pytest.mark.parametrize("awaits", [False, True])
@pytest.mark.parametrize("error", [KeyError("mine"), InvalidRequest("mine"), SystemExit(3)])
def test_what_a_hook_raises_is_logged_and_ends_nothing(emulator, caplog, awaits, error):
    def fail(_record):
        raise error

    make = emulator.async_client if awaits else emulator.client
    client = make(poll=0.01, on_request=fail, on_response=fail, on_event=fail)
    effect = done(client, "run", "glass_ball", URL)
    assert effect.bytes()
    records = [one for one in caplog.records if one.name == "spark_effects"]
    assert {record.levelno for record in records} == {logging.ERROR}
    assert any(f"task {effect.task_id} submitted" in record.getMessage() for record in records)
    assert all(record.exc_info[1] is error for record in records)
    assert emulator.counts["accepted"] == 1


@pytest.mark.parametrize("method", ["run", "submit"])
@pytest.mark.parametrize("awaits", [False, True])
def test_a_ctrl_c_in_a_hook_ends_the_wait_with_the_id(emulator, caplog, awaits, method):
    emulator.script("create", {"kind": "take", "seconds": 9})
    ids = []

    def stop(event):
        ids.append(event.task_id)
        if len(ids) == 1:
            raise KeyboardInterrupt

    make = emulator.async_client if awaits else emulator.client
    with pytest.raises(KeyboardInterrupt) as raised:
        done(make(poll=0.01, on_event=stop), method, "glass_ball", URL)
    notes = "".join(getattr(raised.value, "__notes__", ()))
    assert ids[0] in notes + caplog.text
    # What waited with it is told with the next result.
    emulator.client().task(ids[0]).status()


def test_a_lost_answer_is_told(emulator):
    heard = Heard()
    emulator.script("create", {"kind": "reset", "when": "after"})
    with pytest.raises(OutcomeUnknown) as raised:
        emulator.client(**heard.hooks()).run("glass_ball", URL)
    (response,) = heard.responses
    assert (response.status, response.headers, response.body) == (None, {}, None)
    assert response.error.startswith("no answer")
    assert response.request.request_id == raised.value.request_id


def test_only_plain_functions_are_hooks(emulator, caplog):
    async def coroutine(_record):
        pass

    with pytest.raises(TypeError, match="on_request is a coroutine function"):
        emulator.async_client(on_request=coroutine)
    with pytest.raises(TypeError, match="on_event is 'print'"):
        emulator.client(on_event="print")
    # One that cannot be told by its looks.
    assert emulator.client(poll=0.01, on_event=lambda event: coroutine(event)).run("glass_ball", URL).bytes()
    assert "an awaitable" in caplog.text


def print_event(event):
    print(event)


def test_hooks_travel_with_a_client(emulator, capsys):
    client = emulator.client(poll=0.01, on_event=print_event)
    copy = pickle.loads(pickle.dumps(client))
    assert copy == client
    effect = copy.run("glass_ball", URL)
    assert f"task {effect.task_id} submitted" in capsys.readouterr().out


def test_a_hook_may_use_the_client(emulator):
    statuses = []

    def look(event: Event):
        if event.kind == "submitted":
            statuses.append(other.task(event.task_id).status().status)

    other = emulator.client()
    emulator.client(poll=0.01, on_event=look).run("glass_ball", URL)
    assert len(statuses) == 1


def test_their_records_say_themselves():
    request = ExchangeRequest(7, "GET", "https://example.com/x", [("a", "b")], None, 0)
    response = ExchangeResponse(request, None, None, [], None, "no answer: reset", 0.25)
    assert repr(request) == "<ExchangeRequest 7: GET https://example.com/x>"
    assert repr(response) == "<ExchangeResponse 7: no answer: reset after 0.250 s>"
