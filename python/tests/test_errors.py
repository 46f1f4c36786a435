"""The tree of errors, and that each is what the core's table says."""

import builtins
import pickle

import pytest
from conftest import URL

import spark_effects
from spark_effects import EffectsError, errors


def test_the_core_s_table_has_a_class_for_each_kind():
    table = spark_effects._native.errors()
    assert len(table) >= 23
    for kind, class_name, _ in table:
        error = errors.make(class_name, "words", {"kind": kind, "task_id": "abc"})
        if class_name == "KeyboardInterrupt":
            assert type(error) is KeyboardInterrupt
            continue
        assert type(error) is getattr(spark_effects, class_name)
        assert isinstance(error, EffectsError)
        assert (error.kind, error.task_id, str(error)) == (kind, "abc", "words")
    named = {class_name for _, class_name, _ in table} - {"KeyboardInterrupt"}
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, EffectsError)
    }
    assert classes == named, "every class of the tree is that of a kind"


def test_every_error_pickles_with_all_it_knows():
    for kind, class_name, _ in spark_effects._native.errors():
        if hasattr(builtins, class_name):
            continue
        facts = {
            "kind": kind,
            "code": "3009095",
            "task_id": "abc",
            "status": 429,
            "retry_after": 1.5,
            "request_id": "r-1",
            "resume_line": "effects wait abc",
        }
        error = errors.make(class_name, "words", facts)
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert (again.args, vars(again)) == (error.args, vars(error))


# One real provocation for each class, through the client.
PROVOKED = {
    "AuthError": ("create", {"kind": "status", "status": 401}),
    "OutOfCredit": ("create", {"kind": "status", "status": 402}),
    "InvalidRequest": ("create", {"kind": "status", "status": 400}),
    "OutcomeUnknown": ("create", {"kind": "reset", "when": "after"}),
    "TaskFailed": ("create", {"kind": "fail", "code": "3009095"}),
}


@pytest.mark.parametrize("name", PROVOKED)
def test_each_is_raised_by_what_it_is_for(client, emulator, name):
    endpoint, fault = PROVOKED[name]
    emulator.script(endpoint, fault)
    with pytest.raises(EffectsError) as caught:
        client.run("glass_ball", URL)
    error = caught.value
    assert type(error).__name__ == name
    assert type(pickle.loads(pickle.dumps(error))) is type(error)
    if name == "TaskFailed":
        assert (error.code, error.resume_line) == ("3009095", None)
        assert error.task_id
    if name == "OutcomeUnknown":
        assert error.request_id in str(error)
        assert emulator.counts["accepted"] == 1


def test_a_picture_that_cannot_be_had_keeps_its_task(client, emulator):
    emulator.follow({"fault": [{"on": "file", "kind": "status", "status": 404}]})
    with pytest.raises(spark_effects.TransportError) as caught:
        client.run("glass_ball", URL, wait_timeout=0.2)
    assert caught.value.kind == "download"
    assert caught.value.task_id in caught.value.resume_line


def test_throttled_to_the_end(emulator):
    fault = {"kind": "status", "status": 429, "retry_after": {"seconds": 60}}
    emulator.follow({"fault": [{"on": "create", **fault}]})
    policy = spark_effects.Policy(wait_timeout=0.05, poll=0.01)
    with pytest.raises(spark_effects.RateLimited) as caught:
        emulator.client().run("glass_ball", URL, policy=policy)
    assert (caught.value.status, caught.value.retry_after) == (429, 60.0)


def test_not_found_and_unreadable(client, emulator):
    with pytest.raises(spark_effects.TaskNotFound) as caught:
        client.task("no-such-task").wait(wait_timeout=0.1)
    assert (caught.value.task_id, caught.value.resume_line) == ("no-such-task", None)
    task = client.submit("glass_ball", URL)
    emulator.follow({"fault": [{"on": "task", "kind": "garbage"}]})
    with pytest.raises(spark_effects.UnreadableAnswer) as caught:
        task.status(policy=spark_effects.Policy(request_timeout=0.1))
    assert (caught.value.task_id, caught.value.status) == (task.id, 200)
