"""Warnings are records of ``logging``, under the name of the package."""

import asyncio
import logging

import pytest

from spark_effects import AsyncClient, Client, Emulator, Job, OutcomeUnknown

URL = "https://example.com/cat.jpg"

#: An answer that breaks off after the task's id.
CUT = {"fault": [{"on": "create", "kind": "truncate"}]}


def warned(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "spark_effects"]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_key_too_short_to_be_looked_for_is_warned_of_where_it_is_set(kind, caplog):
    with caplog.at_level(logging.WARNING):
        kind(api_key="id", base_url="http://127.0.0.1:9")
        kind(api_key="long-enough", base_url="http://127.0.0.1:9")
    (text,) = warned(caplog)
    assert "the API key has 2 characters" in text


def test_a_task_saved_from_an_odd_answer_is_warned_of(caplog):
    def the_warning():
        (text,) = warned(caplog)
        caplog.clear()
        return text

    with Emulator(faults=CUT, pictures="stub") as emulator:
        client = emulator.client(poll=0.005)
        task = client.submit("glass_ball", URL)
        assert f"it names task {task.id}" in the_warning()
        effect = client.run("glass_ball", URL)
        assert f"it names task {effect.task_id}" in the_warning()
        effect = asyncio.run(emulator.async_client(poll=0.005).run("glass_ball", URL))
        assert f"it names task {effect.task_id}" in the_warning()
        results = list(client.map([Job("glass_ball", URL), Job("my_world", URL)]))
        assert all(result.ok for result in results)
        assert len(warned(caplog)) == 2


def test_an_error_repeats_no_key_however_it_is_spelled():
    key = "odd/k+y&1234"
    body = {"raw": r'{"error": {"code": "odd\/k\u002by\u00261234", "message": "no odd\/k+y&1234"}}'}
    with Emulator(pictures="stub", api_key=key) as emulator:
        emulator.follow({"fault": [{"on": "create", "kind": "status", "status": 500, "body": body}]})
        with pytest.raises(OutcomeUnknown) as caught:
            emulator.client().submit("glass_ball", URL)
    shown = f"{caught.value!s} {caught.value!r} {caught.value.code}"
    assert "[key]" in shown
    assert key not in shown
