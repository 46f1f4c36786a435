"""What errors and effects tell of the HTTP exchange: name, status, headers and body, without the key."""

import asyncio
import http.server
import pickle
import threading

import pytest
from conftest import URL

from spark_effects import AsyncClient, Client, OutcomeUnknown, TaskFailed, TaskNotFound

KEY = "key-of-the-tests/1234"


class Odd(http.server.BaseHTTPRequestHandler):
    """Answers each submission with a page that repeats the key."""

    def do_GET(self):
        content = '[{"content": [{"type": "image", "url": "https://example.com/out.png"}]}]'
        body = f'{{"id": "task-1", "status": "completed", "output": {content}}}'.encode()
        self.send_response(200)
        self.send_header("X-Request-Id", f"look-{KEY}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = f"<html>!{KEY} {'ü' * 2000}".encode()
        self.send_response(502)
        for name, value in {
            "X-Trace-Id": f"trace-{KEY}",
            "CF-Ray": "ray-7",
            "Set-Cookie": f"session={KEY}",
            "Content-Type": "text/html",
            "Content-Length": str(len(body)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def odd():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Odd) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def errors(kind, url):
    """The error of one submission, and of one of many."""
    client = kind(api_key=KEY, base_url=url)

    async def one():
        return await client.run("glass_ball", URL)

    with pytest.raises(OutcomeUnknown) as raised:
        client.run("glass_ball", URL) if kind is Client else asyncio.run(one())

    async def many():
        return await client.map([("glass_ball", URL)]).all()

    (result,) = client.map([("glass_ball", URL)]).all() if kind is Client else asyncio.run(many())
    assert result.request_id == result.error.request_id
    return [raised.value, result.error]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_an_error_tells_the_answer_without_the_key(odd, kind):
    for error in errors(kind, odd):
        assert error.status == 502
        # The name that the submission was sent with is the one to ask the service's support for.
        assert error.request_id
        assert "trace" not in error.request_id
        assert error.headers["x-trace-id"] == "trace-[key]"
        assert error.headers["cf-ray"] == "ray-7"
        assert "set-cookie" not in error.headers
        # 2 KiB, cut between two characters.
        assert error.body == "<html>![key] " + "ü" * 1017
        shown = f"{vars(error)} {error.to_dict()}"
        assert KEY not in shown
        copy = pickle.loads(pickle.dumps(error))
        assert (copy.headers, copy.body) == (error.headers, error.body)


def test_an_error_without_an_answer_has_none(emulator):
    with pytest.raises(ValueError) as raised:
        emulator.client().run("glas_ball", URL)
    assert (raised.value.headers, raised.value.body, raised.value.status) == ({}, None, None)


def test_a_refusal_and_a_failed_task_tell_their_answers(client, emulator):
    emulator.script("create", {"kind": "status", "status": 422, "body": {"raw": '{"message": "no"}'}})
    with pytest.raises(ValueError, match="no") as raised:
        client.submit("glass_ball", URL)
    assert raised.value.body == '{"message": "no"}'
    emulator.script("create", {"kind": "fail", "code": "3009095"})
    with pytest.raises(TaskFailed) as failed:
        client.run("glass_ball", URL)
    assert failed.value.status == 200
    assert '"3009095"' in failed.value.body
    assert failed.value.headers["content-type"] == "application/json"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_an_effect_has_the_name_of_the_exchange_that_showed_it(odd, kind):
    client = kind(api_key=KEY, base_url=odd)

    async def main():
        return await client.task("task-1").wait(fetch=False)

    effect = client.task("task-1").wait(fetch=False) if kind is Client else asyncio.run(main())
    assert effect.request_id == effect.headers["x-request-id"] == "look-[key]"
    assert effect.to_dict()["response"]["request_id"] == "look-[key]"


def test_an_effect_tells_the_answer_that_showed_it(client, emulator, tmp_path):
    async def awaited():
        return await emulator.async_client(poll=0.005).run("glass_ball", URL)

    (among,) = client.map([("glass_ball", URL)], fetch=False).all()
    assert among.request_id == among.effect.request_id
    task = client.submit("glass_ball", URL)
    for effect in (client.run("glass_ball", URL), asyncio.run(awaited()), task.wait(), among.unwrap()):
        assert effect.status == 200
        assert effect.headers["content-type"].startswith("application/json")
        facts = effect.to_dict()
        assert facts["response"]["headers"] == effect.headers
        copy = pickle.loads(pickle.dumps(effect))
        assert copy == effect
        assert copy.headers == effect.headers
    # A journal does not keep it.
    journal = tmp_path / "run.db"
    for _ in range(2):
        (kept,) = client.map([("my_world", URL)], journal=journal, fetch=False).all()
    assert (kept.request_id, kept.effect.status, kept.effect.headers) == (None, None, {})


def test_headers_of_one_call_go_with_all_of_many(client, emulator):
    for method in (client.map, client.as_completed):
        emulator.reset()
        assert all(result.ok for result in method([("glass_ball", URL)] * 3, headers={"X-Team": "studio"}))
        sent = [dict(one.headers).get("x-team") for one in emulator.requests if one.endpoint != "file"]
        assert set(sent) == {"studio"}
    with pytest.raises(ValueError, match="Authorization"):
        client.map([("glass_ball", URL)], headers={"Authorization": "Bearer mine"})


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_look_has_the_name_of_its_exchange_and_so_has_one_that_finds_nothing(odd, emulator, kind):
    def looked(task):
        async def main():
            return await task.status()

        return task.status() if kind is Client else asyncio.run(main())

    seen = looked(kind(api_key=KEY, base_url=odd).task("task-1"))
    assert (seen.status, seen.request_id) == ("completed", "look-[key]")
    assert seen.headers["x-request-id"] == "look-[key]"
    assert seen.to_dict()["response"]["status"] == 200
    assert pickle.loads(pickle.dumps(seen)) == seen
    client = emulator.client() if kind is Client else emulator.async_client()
    with pytest.raises(TaskNotFound) as raised:
        looked(client.task("nowhere"))
    assert raised.value.status == 404
    assert raised.value.request_id == raised.value.headers["x-request-id"]
    assert raised.value.body
