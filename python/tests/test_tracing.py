"""Spans of OpenTelemetry, where a program uses it: one for each call, in it one for each exchange."""

import asyncio
import subprocess
import sys

import pytest
from conftest import PHOTO, URL

from spark_effects import TaskFailed

sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="opentelemetry-sdk is not installed")


@pytest.fixture(scope="session")
def exporter():
    from opentelemetry import trace
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept = InMemorySpanExporter()
    provider = sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    # A process has one for its life.
    trace.set_tracer_provider(provider)
    return kept


@pytest.fixture
def spans(exporter):
    """The spans that ended since the test began, in the order of their beginnings."""
    exporter.clear()
    return lambda: sorted(exporter.get_finished_spans(), key=lambda span: span.start_time)


def call(client, awaits, method, *arguments, **options):
    async def main():
        return await getattr(client, method)(*arguments, **options)

    return asyncio.run(main()) if awaits else getattr(client, method)(*arguments, **options)


def client_of(emulator, awaits, **options):
    return (emulator.async_client if awaits else emulator.client)(poll=0.01, **options)


@pytest.mark.parametrize("awaits", [False, True])
def test_a_run_has_a_span_with_one_for_each_exchange(emulator, spans, awaits):
    from opentelemetry import trace

    emulator.script("create", {"kind": "take", "seconds": 1})
    with trace.get_tracer("the program").start_as_current_span("request") as outer:
        effect = call(client_of(emulator, awaits), awaits, "run", "glass_ball", URL)
    (run,) = [span for span in spans() if span.name == "spark_effects.run"]
    assert run.parent.span_id == outer.get_span_context().span_id
    assert run.attributes == {
        "spark_effects.task_id": effect.task_id,
        "spark_effects.template": "glass_ball",
        "spark_effects.cost": 0.03,
    }
    exchanges = [span for span in spans() if span.parent and span.parent.span_id == run.context.span_id]
    create, *looks, download = exchanges
    assert create.name == "POST /model/v1/generation"
    assert {look.name for look in looks} == {"GET /model/v1/generation/task/{task_id}"}
    assert (download.name, download.attributes["http.response.status_code"]) == ("GET {picture}", 200)
    assert len(exchanges) == len(emulator.requests)
    port = int(emulator.base_url.rpartition(":")[2])
    assert looks[-1].attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "url.full": f"{emulator.base_url}/model/v1/generation/task/{effect.task_id}",
        "url.template": "/model/v1/generation/task/{task_id}",
        "server.address": "127.0.0.1",
        "server.port": port,
        "spark_effects.task_id": effect.task_id,
    }
    for span in exchanges:
        assert span.kind == trace.SpanKind.CLIENT
        assert run.start_time <= span.start_time <= span.end_time
        assert span.status.is_ok or span.status.is_unset
    assert emulator.api_key not in "".join(span.to_json() for span in spans())


@pytest.mark.parametrize("awaits", [False, True])
def test_submit_and_wait_have_spans_of_their_own(emulator, spans, awaits):
    emulator.script("create", {"kind": "status", "status": 429}, {"kind": "take", "seconds": 0.1})
    emulator.script("task", {"kind": "status", "status": 503})
    client = client_of(emulator, awaits)
    task = call(client, awaits, "submit", "glass_ball", PHOTO)
    call(task, awaits, "wait")
    by_name = {span.name: span for span in spans()}
    submit, wait = by_name["spark_effects.submit"], by_name["spark_effects.wait"]
    assert submit.attributes["spark_effects.task_id"] == wait.attributes["spark_effects.task_id"] == task.id

    def inside(call):
        return [span for span in spans() if span.parent and span.parent.span_id == call.context.span_id]

    throttled, created = (span for span in inside(submit) if span.name == "POST /model/v1/generation")
    assert throttled.attributes["error.type"] == "429"
    assert throttled.status.description.startswith("HTTP 429")
    assert "error.type" not in created.attributes
    assert inside(wait)[0].attributes["http.response.status_code"] == 503


@pytest.mark.parametrize("awaits", [False, True])
def test_an_error_is_on_its_span(emulator, spans, awaits):
    emulator.script("create", {"kind": "fail", "code": "3009095"})
    with pytest.raises(TaskFailed) as raised:
        call(client_of(emulator, awaits), awaits, "run", "glass_ball", URL)
    (run,) = [span for span in spans() if span.name == "spark_effects.run"]
    assert not run.status.is_ok
    assert run.attributes["error.type"] == "TaskFailed"
    assert run.attributes["spark_effects.code"] == "3009095"
    assert run.attributes["spark_effects.task_id"] == raised.value.task_id
    assert run.events[0].name == "exception"


@pytest.mark.parametrize("awaits", [False, True])
def test_of_many_each_job_and_each_exchange_has_one(emulator, spans, awaits):
    client = client_of(emulator, awaits)

    async def main():
        return await client.map([("glass_ball", URL)] * 3).all()

    results = asyncio.run(main()) if awaits else client.map([("glass_ball", URL)] * 3).all()
    (whole,) = [span for span in spans() if span.name == "spark_effects.map"]
    inside = [span for span in spans() if span.parent and span.parent.span_id == whole.context.span_id]
    jobs = [span for span in inside if span.name == "spark_effects.job"]
    assert {span.attributes["spark_effects.task_id"] for span in jobs} == {
        result.effect.task_id for result in results
    }
    assert {span.attributes["spark_effects.cost"] for span in jobs} == {0.03}
    assert len([span for span in inside if span.name.startswith("POST")]) == 3


def test_many_jobs_that_are_refused_have_a_span_that_ends(emulator, spans):
    with pytest.raises(ValueError, match="budget"):
        emulator.client().map([("glass_ball", URL)], budget=-1)
    (call_span,) = [span for span in spans() if span.name == "spark_effects.map"]
    assert not call_span.status.is_ok


def test_progress_and_events_do_not_hide_the_exchanges(emulator, spans):
    emulator.client(poll=0.01).run("glass_ball", URL, on_event=lambda event: None)
    (run,) = [span for span in spans() if span.name == "spark_effects.run"]
    inside = [span for span in spans() if span.parent and span.parent.span_id == run.context.span_id]
    assert "POST /model/v1/generation" in {span.name for span in inside}


def test_a_program_that_does_not_trace_imports_nothing_of_it(emulator):
    program = f"""
import sys
from spark_effects import Client
Client(base_url={emulator.base_url!r}, api_key={emulator.api_key!r}, poll=0.01).run("glass_ball", {URL!r})
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
assert "spark_effects._tracing" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
