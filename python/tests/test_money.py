"""What a client may spend: settled by the call that sees the end of a task, and once."""

import asyncio
import http.server
import json
import pickle
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from conftest import PHOTO, URL
from test_processes import in_a_fork

import spark_effects
from spark_effects import Backoff, Policy, TaskFailed, TransportError, Usage

QUICK = {"polls_per_second": 5000}
# What the emulator bills for a picture is 0.03 USD.
ONE, TWO = "0.03", "0.06"
UNBILLED = {"kind": "fail", "code": "3009096"}


def jobs(count):
    return [("glass_ball", f"https://example.com/{n}.jpg") for n in range(count)]


def limited(emulator, budget, **options):
    return emulator.client(poll=0.005, budget=budget, **options)


def primed(emulator, budget, **options):
    """A client that knows the price, and has the budget left."""
    client = limited(emulator, Decimal(budget) + Decimal(ONE), **options)
    client.run("glass_ball", URL, fetch=False)
    return client


def is_broke(client):
    """Whether nothing more is sent, and nothing was for asking."""
    try:
        client.submit("glass_ball", URL)
    except spark_effects.BudgetExceeded:
        return True
    return False


ENDS = {
    "wait": lambda client, task: task.wait(),
    "status": lambda client, task: task.status(),
    "events": lambda client, task: list(task.events()),
    "finish": lambda client, task: task.events().finish(),
    "another": lambda client, task: client.task(task.id).wait(),
    "map": lambda client, task: list(client.map([task], **QUICK)),
    "as_completed": lambda client, task: list(client.as_completed([client.task(task.id)], **QUICK)),
}


def seen(end, client, task):
    try:
        return ENDS[end](client, task)
    except spark_effects.TaskFailed as error:
        return error


@pytest.mark.parametrize("end", ENDS)
def test_a_failed_unbilled_task_gives_back_what_it_held(emulator, end):
    client = primed(emulator, ONE)
    emulator.script("create", UNBILLED)
    task = client.submit("glass_ball", URL)
    assert is_broke(client), "it may cost"
    seen(end, client, task)
    assert client.submit("glass_ball", URL).id, "it did not"
    assert is_broke(client)


@pytest.mark.parametrize("end", ENDS)
def test_a_task_is_settled_once_whichever_call_sees_its_end_and_however_often(emulator, end):
    client = primed(emulator, TWO)
    task = client.submit("glass_ball", URL)
    for again in (end, *ENDS, end):
        seen(again, client, task)
    assert client.run("glass_ball", URL, fetch=False)
    assert is_broke(client)
    assert emulator.counts["accepted"] == 3


def test_a_task_of_another_client_is_not_this_one_s_to_pay(emulator, client):
    other = client.submit("glass_ball", URL)
    own = limited(emulator, ONE)
    assert own.task(other.id).wait()
    assert own.task(other.id).status().usage.cost
    assert own.run("glass_ball", URL)
    assert is_broke(own)


def test_without_a_price_one_task_runs_until_its_cost_is_seen(emulator):
    client = limited(emulator, TWO)
    emulator.script("create", {"kind": "take", "seconds": 1})
    first = client.submit("glass_ball", URL)
    # No call watches the first, so that this looks for its end itself.
    second = client.submit("glass_ball", URL)
    assert first.status().done
    assert is_broke(client)
    assert second.wait()


def test_many_wait_for_a_task_that_runs_to_tell_what_one_costs(emulator):
    client = limited(emulator, TWO)
    emulator.script("create", {"kind": "take", "seconds": 1})
    first = client.submit("glass_ball", URL)
    assert [result.ok for result in client.map(jobs(3), **QUICK)].count(True) == 1
    assert first.status().done
    assert is_broke(client)
    assert emulator.counts["accepted"] == 2

    client = limited(emulator, TWO)
    emulator.script("create", {"kind": "take", "seconds": 3600})
    client.submit("glass_ball", URL)
    # With a price nothing has to be waited for.
    assert [result.ok for result in client.map(jobs(3), price=ONE, **QUICK)].count(True) == 1


def test_a_price_that_cannot_be_found_out_spends_nothing(emulator):
    client = limited(emulator, "5.00")
    emulator.script("create", {"kind": "take", "seconds": 3600})
    task = client.submit("glass_ball", URL)
    with pytest.raises(spark_effects.BudgetExceeded, match=task.id):
        client.submit("glass_ball", URL, policy=Policy(poll=0.01, wait_timeout=0.05))
    with pytest.raises(spark_effects.BudgetExceeded, match=task.id):
        list(client.map(jobs(3), policy=Policy(poll=0.01, wait_timeout=0.05), **QUICK))
    results = client.map(jobs(3), **QUICK)
    results.stop()
    assert not any(result.ok for result in results)
    assert emulator.counts["accepted"] == 1


def test_many_without_a_price_wait_for_the_first_to_tell(emulator):
    client = emulator.async_client(poll=0.005, budget="0.10")

    async def main():
        return await asyncio.gather(
            *(client.submit("glass_ball", URL) for _ in range(8)), return_exceptions=True
        )

    ends = asyncio.run(main())
    refused = [end for end in ends if isinstance(end, spark_effects.BudgetExceeded)]
    assert (len(refused), emulator.counts["accepted"]) == (5, 3)


def test_many_without_a_price_wait_for_a_submission_under_way_to_tell(emulator):
    client = limited(emulator, "0.05")
    emulator.script("create", {"kind": "slow", "seconds": 0.5})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.run, "glass_ball", URL, fetch=False)
        while not emulator.requests:
            time.sleep(0.001)
        assert [result.ok for result in client.map(jobs(3), **QUICK)] == [False] * 3
        assert running.result().usage.cost == Decimal(ONE)
    assert emulator.counts["accepted"] == 1


def test_without_a_price_the_first_of_several_calls_for_many_tells_what_one_costs(emulator):
    client = emulator.async_client(poll=0.005, budget="0.09")

    async def many(budget):
        return [result.ok async for result in client.map(jobs(3), budget=budget, **QUICK)]

    async def both():
        emulator.script("create", {"kind": "slow", "seconds": 0.5})
        running = asyncio.ensure_future(many("0.04"))
        await asyncio.sleep(0)
        return await asyncio.gather(running, many("0.02"), client.run("glass_ball", URL, fetch=False))

    first, second, single = asyncio.run(both())
    assert (first.count(True), second.count(True)) == (1, 0), "0.02 is too little for one"
    assert single.usage.cost == Decimal(ONE)
    assert emulator.counts["accepted"] == 2
    # The call that holds all that is left is not waited for.
    client = emulator.client(poll=0.005, budget="0.05")
    held = client.map(iter(lambda: time.sleep(0.01) or ("no_template", URL), None), in_flight=1)
    assert [result.ok for result in client.map(jobs(2), **QUICK)] == [False] * 2
    held.close()


def test_without_a_price_results_that_are_held_and_show_none_hold_nothing_up(emulator):
    emulator.follow({"fault": [{"on": "create", **UNBILLED}]})
    client = limited(emulator, "1.00")
    held = client.map(jobs(50), budget="0.50", in_flight=1, **QUICK)
    assert isinstance(next(held).error, TaskFailed)
    with ThreadPoolExecutor(1) as pool:
        try:
            running = pool.submit(client.run, "glass_ball", URL)
            with pytest.raises(TaskFailed):
                running.result(timeout=20)
        finally:
            held.close()


def test_without_a_price_what_gives_the_jobs_may_make_calls_itself(emulator):
    """One effect after the other: each job's photo is the picture of a call of the same client."""
    client = limited(emulator, "1.00")

    def steps():
        for job in jobs(2):
            yield ("my_world", client.run(*job, fetch=False).url)

    with ThreadPoolExecutor(1) as pool:
        held = client.map(steps(), budget="0.50", **QUICK)
        try:
            results = pool.submit(list, held).result(timeout=30)
        finally:
            held.close()
    assert [result.ok for result in results] == [True, True]
    assert emulator.counts["accepted"] == 4


def test_money_that_open_results_hold_is_told(emulator, tmp_path):
    client = limited(emulator, "5.00", price=ONE)
    held = client.as_completed(jobs(20), in_flight=2, ahead=0, **QUICK)
    assert next(held).ok
    with pytest.raises(spark_effects.BudgetExceeded) as raised:
        client.run("glass_ball", URL)
    (result,) = client.map([("my_world", URL)], journal=tmp_path / "run.db", **QUICK)
    for error in (raised.value, result.error):
        assert isinstance(error, spark_effects.BudgetExceeded)
        assert re.search(r"4\.\d\d USD .*set aside for .*map.*as_completed.*close\(\)", str(error))
    held.close()
    held.all()
    assert client.run("glass_ball", URL, fetch=False).usage.cost == Decimal(ONE)
    # Without such a call, nothing is said of one.
    client = primed(emulator, "0.01")
    with pytest.raises(spark_effects.BudgetExceeded) as raised:
        client.run("glass_ball", URL)
    (result,) = client.map([("my_world", URL)], **QUICK)
    assert "set aside" not in f"{raised.value} {result.error}"


def left_by_a_run(client, policy):
    return client.run("glass_ball", URL, policy=policy)


def left_by_a_map(client, policy):
    return next(client.map(jobs(1), policy=policy, **QUICK)).unwrap()


@pytest.mark.parametrize("leave", [left_by_a_run, left_by_a_map])
def test_a_run_whose_wait_ended_is_settled_by_a_later_wait(leave):
    with spark_effects.Emulator(pictures="stub", latency=0.2) as emulator:
        client = primed(emulator, ONE)
        emulator.script("create", UNBILLED)
        with pytest.raises(spark_effects.WaitTimeout) as caught:
            leave(client, Policy(poll=0.01, wait_timeout=0.02))
        assert is_broke(client)
        with pytest.raises(spark_effects.TaskFailed):
            client.task(caught.value.task_id).wait()
        assert not is_broke(client)


def test_a_task_that_is_over_at_once_is_settled(emulator):
    client = primed(emulator, TWO)
    for _ in range(2):
        emulator.script("create", {"kind": "finished"})
        client.submit("glass_ball", URL).wait()
    assert is_broke(client)
    assert is_broke(client)


def test_an_unknown_outcome_keeps_what_it_held(emulator):
    client = primed(emulator, ONE)
    emulator.script("create", {"kind": "reset", "when": "after"})
    with pytest.raises(spark_effects.OutcomeUnknown):
        client.run("glass_ball", URL)
    assert is_broke(client)


def test_what_never_left_costs_nothing(emulator, tmp_path):
    client = primed(emulator, ONE)
    for image in (tmp_path / "none.png", "ftp://example.com/cat.jpg"):
        with pytest.raises(spark_effects.InvalidRequest):
            client.run("glass_ball", image)
    emulator.script("create", {"kind": "status", "status": 402})
    with pytest.raises(spark_effects.EffectsError):
        client.run("glass_ball", URL)
    assert client.run("glass_ball", URL)


def test_a_cancelled_submission_is_held_by_its_task(emulator):
    """Cancelled before it leaves it is given back, and after that the call that sees the end settles it."""
    client = emulator.async_client(poll=0.005, budget=TWO)

    async def main():
        await client.run("glass_ball", URL)
        emulator.script("create", {"kind": "slow", "seconds": 0.2})
        running = asyncio.create_task(client.run("glass_ball", URL))
        while len([one for one in emulator.requests if one.endpoint == "create"]) < 2:
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        with pytest.raises(spark_effects.BudgetExceeded):
            await client.submit("glass_ball", URL)

    asyncio.run(main())
    assert emulator.counts["accepted"] == 2


def test_cancelled_before_it_left_it_is_given_back(emulator):
    client = emulator.async_client(poll=0.005, budget=ONE)

    async def main():
        emulator.script("upload", {"kind": "hang", "seconds": 30})
        running = asyncio.create_task(client.run("glass_ball", PHOTO))
        while not emulator.requests:
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return await client.run("glass_ball", URL)

    assert asyncio.run(main()).task_id
    assert emulator.counts["accepted"] == 1


def test_a_budget_of_a_map_is_within_the_client_s(emulator):
    client = primed(emulator, TWO)
    assert [result.ok for result in client.map(jobs(3), budget="5.00", **QUICK)].count(True) == 2
    assert is_broke(client)
    client = primed(emulator, "0.09")
    assert [result.ok for result in client.map(jobs(3), budget=ONE, **QUICK)].count(True) == 1
    assert [result.ok for result in client.map(jobs(3), **QUICK)].count(True) == 2


def test_rows_paid_for_in_an_earlier_run_cost_nothing_again(emulator, tmp_path):
    client = primed(emulator, "0.09", journal=tmp_path / "run.db")
    for _ in range(3):
        assert all(result.ok for result in client.map(jobs(2), **QUICK))
    assert client.submit("glass_ball", URL).id
    assert is_broke(client)


def test_a_copy_has_what_is_left_and_counts_for_itself(emulator):
    client = primed(emulator, TWO)
    fresh = pickle.dumps(client)
    assert pickle.loads(fresh) == client
    client.run("glass_ball", URL, fetch=False)
    copy = pickle.loads(pickle.dumps(client))
    assert copy.run("glass_ball", URL, fetch=False)
    assert is_broke(copy)
    assert is_broke(pickle.loads(pickle.dumps(copy)))
    assert not is_broke(client)
    # And an older copy has what was left then.
    older = pickle.loads(fresh)
    assert [is_broke(older) for _ in range(3)] == [False, False, True]


def test_what_is_reserved_counts_as_spent_in_a_copy_until_its_end_is_seen_there(emulator):
    client = primed(emulator, ONE)
    emulator.script("create", UNBILLED)
    task = client.submit("glass_ball", URL)
    copy = pickle.loads(pickle.dumps(client))
    assert is_broke(copy)
    with pytest.raises(spark_effects.TaskFailed):
        copy.task(task.id).wait()
    assert not is_broke(copy)


def test_what_is_being_submitted_counts_as_spent_in_a_copy(emulator):
    client = primed(emulator, ONE)
    emulator.script("create", {"kind": "slow", "seconds": 0.5})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.run, "glass_ball", URL, fetch=False)
        while len([one for one in emulator.requests if one.endpoint == "create"]) < 2:
            time.sleep(0.005)
        copy = pickle.loads(pickle.dumps(client))
        assert is_broke(copy)
        assert running.result()
    assert is_broke(copy)


def test_what_a_map_has_set_aside_counts_as_spent_in_a_copy(emulator):
    client = primed(emulator, TWO)
    release = threading.Event()

    def slow():
        yield jobs(1)[0]
        release.wait()

    results = client.map(slow(), **QUICK)
    copy = pickle.loads(pickle.dumps(client))
    release.set()
    assert all(result.ok for result in results)
    assert is_broke(copy)
    assert not is_broke(client)


def test_a_copy_without_a_price_finds_it_out_from_what_runs(emulator):
    client = limited(emulator, TWO)
    task = client.submit("glass_ball", URL)
    copy = pickle.loads(pickle.dumps(client))
    assert not is_broke(copy)
    assert is_broke(copy)
    assert task.wait()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_has_what_is_left_and_counts_for_itself(emulator):
    client = primed(emulator, TWO)
    task = client.submit("glass_ball", URL)
    assert in_a_fork(lambda: [is_broke(client), is_broke(client)]) == [False, True]
    # The parent counts what it spent itself.
    assert [is_broke(client), is_broke(client)] == [False, True]
    assert task.wait()
    assert in_a_fork(lambda: is_broke(client))


class Bills(http.server.BaseHTTPRequestHandler):
    """A gateway whose tasks are completed at once, and whose bills say what `usage` says."""

    usage = {}
    # Those of single tasks.
    usages = {}
    # How single tasks end that are not completed.
    ends = {}
    made = 0

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        kind = type(self)
        kind.made += 1
        self.answer(f"task-{kind.made}", "pending")

    def do_GET(self):
        name = self.path.rsplit("/", 1)[1]
        if name == "out.png":
            self.send_error(404)
        else:
            self.answer(name, self.ends.get(name, "completed"))

    def answer(self, task, status):
        pictures = [{"content": [{"url": f"http://{self.headers['Host']}/out.png"}]}]
        usage = self.usages.get(task, self.usage)
        usage = {"usage": usage} if usage is not None else {}
        body = json.dumps({"id": task, "status": status, "output": pictures, **usage}).encode()
        if status == "pending":
            body = json.dumps({"id": task, "status": status}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def bills():
    Bills.made, Bills.usages, Bills.ends = 0, {}, {}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bills) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


UNREADABLE = [None, {}, {"cost": None}, {"cost": ""}, {"cost": "0.02 USD"}, {"cost": "-0.02"}, {"cost": 7e28}]


@pytest.mark.parametrize("usage", UNREADABLE)
@pytest.mark.parametrize("end", ["run", "wait", "status", "map"])
def test_after_a_task_whose_cost_cannot_be_read_a_client_s_budget_refuses_the_rest(bills, usage, end):
    Bills.usage = usage
    client = spark_effects.Client(api_key="a-key-of-a-test", base_url=bills, poll=0.005, budget="0.05")
    if end == "run":
        effect = client.run("glass_ball", URL, fetch=False)
        assert effect.usage.cost is None
    elif end == "map":
        ends = list(client.map(jobs(8), fetch=False, **QUICK))
        assert [result.ok for result in ends].count(True) == 1
        refused = [result.error for result in ends if not result.ok]
        assert all(isinstance(error, spark_effects.BudgetExceeded) for error in refused)
    else:
        task = client.submit("glass_ball", URL)
        task.status() if end == "status" else task.wait(fetch=False)
    assert Bills.made == 1
    with pytest.raises(spark_effects.BudgetExceeded, match="price=") as caught:
        client.run("glass_ball", URL)
    assert "did not say what a completed task cost" in str(caught.value)
    with pytest.raises(spark_effects.BudgetExceeded):
        client.submit("glass_ball", URL)
    assert Bills.made == 1
    # With a price the caller keeps the budget.
    assert [result.ok for result in client.map(jobs(3), price="0.02", fetch=False, **QUICK)].count(True) == 2


@pytest.mark.parametrize("usage", UNREADABLE)
def test_an_async_client_s_budget_refuses_the_rest_as_well(bills, usage):
    Bills.usage = usage
    client = spark_effects.AsyncClient(api_key="a-key-of-a-test", base_url=bills, poll=0.005, budget="0.05")

    async def main():
        runs = (client.run("glass_ball", URL, fetch=False) for _ in range(8))
        return await asyncio.gather(*runs, return_exceptions=True)

    ends = asyncio.run(main())
    refused = [end for end in ends if isinstance(end, spark_effects.BudgetExceeded)]
    assert (len(refused), Bills.made) == (7, 1)


def test_a_price_that_was_seen_does_not_stand_for_a_cost_that_cannot_be_read(bills):
    Bills.usage = {"cost": "0.02"}
    client = spark_effects.Client(api_key="a-key-of-a-test", base_url=bills, poll=0.005, budget="1.00")
    client.run("glass_ball", URL, fetch=False)
    Bills.usage = {}
    ends = list(client.map(jobs(8), fetch=False, **QUICK))
    assert ([result.ok for result in ends].count(True), Bills.made) == (1, 2)
    assert all(isinstance(result.error, spark_effects.BudgetExceeded) for result in ends if not result.ok)
    assert is_broke(client)
    assert Bills.made == 2


def test_too_little_for_one_more_picture_buys_none(emulator):
    client = primed(emulator, "0.02")
    assert not any(result.ok for result in client.map(jobs(2), **QUICK))
    assert is_broke(client)
    assert emulator.counts["accepted"] == 1


LOST = {"kind": "reset", "when": "after"}
SOON = Policy(poll=0.005, repeat="always", retry=spark_effects.Backoff(first=0.01))
# A budget of 0.10 USD reaches for three creates, whatever became of their answers.
THREE = "0.10"


def budgeted(emulator, price, kind="client"):
    """A client that repeats what is lost, and whose first task tells the price unless it is given."""
    return getattr(emulator, kind)(poll=0.005, budget=THREE, price=price, repeat="always")


def accepted_and_ends(emulator, ends):
    expected = (spark_effects.BudgetExceeded, spark_effects.OutcomeUnknown)
    assert all(not isinstance(end, Exception) or isinstance(end, expected) for end in ends)
    assert emulator.counts["creates_seen"] <= 3
    assert emulator.counts["accepted"] == emulator.counts["creates_seen"]
    return emulator.counts["accepted"]


def caught(call, *arguments, **options):
    try:
        return call(*arguments, **options)
    except spark_effects.EffectsError as error:
        return error


@pytest.mark.parametrize("price", [None, "0.03"])
@pytest.mark.parametrize("lost", [1, 2, 10])
@pytest.mark.parametrize("way", ["submit", "run"])
def test_every_attempt_of_unknown_outcome_counts_in_a_client_s_budget(emulator, way, lost, price):
    client = budgeted(emulator, price)
    emulator.script("create", None, *[LOST] * lost)
    ends = [caught(getattr(client, way), *job, policy=SOON) for job in jobs(6)]
    assert accepted_and_ends(emulator, ends) == 3
    assert is_broke(client)
    assert is_broke(pickle.loads(pickle.dumps(client)))


@pytest.mark.parametrize("price", [None, "0.03"])
@pytest.mark.parametrize("lost", [1, 2, 10])
def test_every_attempt_of_unknown_outcome_counts_in_an_async_client_s_budget(emulator, lost, price):
    client = budgeted(emulator, price, "async_client")
    emulator.script("create", None, *[LOST] * lost)

    async def main():
        return await asyncio.gather(
            *(client.submit(*job, policy=SOON) for job in jobs(6)), return_exceptions=True
        )

    assert accepted_and_ends(emulator, asyncio.run(main())) == 3


@pytest.mark.parametrize("price", [None, "0.03"])
@pytest.mark.parametrize("lost", [1, 2, 10])
def test_attempts_of_unknown_outcome_in_a_map_count_in_the_client_s_budget(emulator, lost, price):
    client = budgeted(emulator, price)
    emulator.script("create", None, *[LOST] * lost)
    # One job for each call: what a call has done, the client has to keep.
    ends = [result.error or result for job in jobs(6) for result in client.map([job], policy=SOON, **QUICK)]
    assert accepted_and_ends(emulator, ends) == 3
    assert is_broke(client)


def test_a_repeat_beyond_the_budget_is_refused_and_says_what_may_exist(emulator):
    client = budgeted(emulator, "0.06")
    emulator.script("create", *[LOST] * 5)
    with pytest.raises(spark_effects.OutcomeUnknown) as error:
        client.submit("glass_ball", URL)
    (create,) = [one for one in emulator.requests if one.endpoint == "create"]
    headers = {name.lower(): value for name, value in create.headers}
    assert error.value.request_id == headers["x-request-id"]
    assert error.value.request_id in str(error.value)
    assert emulator.counts["creates_seen"] == 1


def test_without_a_price_an_attempt_of_unknown_outcome_is_not_repeated(emulator):
    client = budgeted(emulator, None)
    emulator.script("create", LOST)
    with pytest.raises(spark_effects.OutcomeUnknown):
        client.submit("glass_ball", URL)
    with pytest.raises(spark_effects.BudgetExceeded, match="is not known"):
        client.submit("glass_ball", URL)
    assert emulator.counts["creates_seen"] == 1


def test_an_attempt_that_was_refused_for_now_costs_nothing(emulator):
    client = budgeted(emulator, ONE)
    emulator.script("create", *[{"kind": "status", "status": 429}] * 2)
    assert client.run("glass_ball", URL, policy=SOON)
    assert client.submit("glass_ball", URL)
    assert client.submit("glass_ball", URL)
    assert is_broke(client)


@pytest.mark.parametrize("way", ["submit", "run", "map"])
def test_the_second_task_of_a_repeated_submission_counts(emulator, way):
    client = emulator.client(budget=TWO, price=ONE)
    # A limit that a busy machine keeps, too, where the answer is not slow.
    emulator.script("create", {"kind": "slow", "seconds": 5})
    policy = SOON.replace(request_timeout=2)
    if way == "map":
        assert [result.ok for result in client.map(jobs(1), policy=policy, **QUICK)] == [True]
    else:
        assert getattr(client, way)("glass_ball", URL, policy=policy)
    assert is_broke(client)
    while emulator.counts["accepted"] < 2:
        time.sleep(0.01)
    assert is_broke(client)
    assert emulator.counts["creates_seen"] == 2


@pytest.mark.parametrize("kind", ["client", "async_client"])
def test_a_client_s_price_needs_a_budget(emulator, kind):
    with pytest.raises(spark_effects.InvalidRequest, match=r"price.*budget"):
        getattr(emulator, kind)(price="0.03")


@pytest.mark.parametrize("usage", UNREADABLE)
def test_with_a_client_s_price_a_cost_that_cannot_be_read_counts_as_that(bills, usage):
    Bills.usage = usage
    client = spark_effects.Client(
        api_key="a-key-of-a-test", base_url=bills, poll=0.005, budget="0.05", price="0.02"
    )
    copy = pickle.loads(pickle.dumps(client))
    assert copy == client
    assert client.run("glass_ball", URL, fetch=False)
    assert [result.ok for result in client.map(jobs(3), fetch=False, **QUICK)].count(True) == 1
    assert is_broke(client)
    assert [is_broke(copy) for _ in range(3)] == [False, False, True]


def warned(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "spark_effects"]


DEARER = "a picture cost 0.03 USD, more than price=0.01: from now on so much is reserved for each"
OVER = "these jobs cost 0.12 USD, more than the budget of 0.10 USD: "


@pytest.mark.parametrize("way", ["map", "as_completed"])
@pytest.mark.parametrize("kept", [None, "run.db"])
def test_many_that_cost_more_than_their_price_and_budget_say_so(emulator, caplog, tmp_path, way, kept):
    client = emulator.client(poll=0.005)
    kept = kept and tmp_path / kept
    # Four are under way before the first cost is seen.
    emulator.script("create", *[{"kind": "take", "seconds": 1}] * 4)
    many = getattr(client, way)(jobs(8), budget="0.10", price="0.01", journal=kept, in_flight=4, **QUICK)
    # A refused one comes first where the order does not matter: it fetches no picture.
    first = next(many)
    assert warned(caplog) == [DEARER]
    assert [result.ok for result in (first, *many)].count(True) == 4
    assert emulator.counts["accepted"] == 4
    first, last = warned(caplog)
    assert first == DEARER
    assert last.startswith(OVER)


def test_many_of_an_async_client_that_cost_more_than_their_price_and_budget_say_so(emulator, caplog):
    client = emulator.async_client(poll=0.005)
    emulator.script("create", *[{"kind": "take", "seconds": 1}] * 4)

    async def main():
        many = client.as_completed(jobs(8), budget="0.10", price="0.01", in_flight=4, **QUICK)
        return [result.ok async for result in many]

    assert asyncio.run(main()).count(True) == 4
    first, last = warned(caplog)
    assert first == DEARER
    assert last.startswith(OVER)


def test_each_higher_cost_is_told_once_and_a_price_that_holds_is_not(bills, caplog):
    client = spark_effects.Client(api_key="a-key-of-a-test", base_url=bills, poll=0.005)
    for cost in ("0.02", "0.01"):
        Bills.usage = {"cost": cost}
        list(client.map(jobs(3), budget="1.00", price="0.02", fetch=False, in_flight=1, **QUICK))
    assert warned(caplog) == []
    costs = ("0.05", "0.03", "0.05", "0.06")
    Bills.usages = {f"task-{Bills.made + n}": {"cost": cost} for n, cost in enumerate(costs, 1)}
    list(client.map(jobs(4), budget="1.00", price="0.02", fetch=False, in_flight=1, **QUICK))
    text = "a picture cost {} USD, more than price=0.02: from now on so much is reserved for each"
    assert warned(caplog) == [text.format("0.05"), text.format("0.06")]
    # Without a budget nothing is reserved.
    caplog.clear()
    Bills.usage = {"cost": "0.06"}
    list(client.map(jobs(1), price="0.02", fetch=False, **QUICK))
    assert warned(caplog) == ["a picture cost 0.06 USD, more than price=0.02"]


CLIENT_DEARER = (
    "a picture cost 0.03 USD, more than the client's price=0.01: from now on so much is reserved for each"
)
CLIENT_OVER = "this client's pictures cost 0.12 USD, more than its budget of 0.10 USD: "


@pytest.mark.parametrize("way", ["wait", "map"])
def test_a_client_whose_pictures_cost_more_than_its_price_and_budget_says_so(emulator, caplog, way):
    client = emulator.client(poll=0.005, budget="0.10", price="0.01")
    emulator.script("create", *[{"kind": "take", "seconds": 1}] * 4)
    if way == "map":
        assert [result.ok for result in client.map(jobs(8), in_flight=4, **QUICK)].count(True) == 4
    else:
        tasks = [client.submit(*job) for job in jobs(4)]
        for task in tasks:
            task.wait(fetch=False)
    first, last = warned(caplog)
    assert first == CLIENT_DEARER
    assert last.startswith(CLIENT_OVER)
    assert is_broke(client)
    assert emulator.counts["accepted"] == 4


@pytest.fixture
def billed(bills, monkeypatch):
    """A client whose second task fails, and is billed as each is."""
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    Bills.usage, Bills.ends = {"cost": "0.03"}, {"task-2": "failed"}
    return spark_effects.Client(api_key="a-key-of-a-test", base_url=bills, poll=0.005)


def test_a_failed_task_that_was_billed_is_in_every_sum(billed, tmp_path, capsys):
    given = {"in_flight": 1, "fetch": False, "journal": tmp_path / "run.db", **QUICK}
    results = billed.map(jobs(3), progress=True, **given).all()
    assert [result.ok for result in results] == [True, False, True]
    assert "3 of 3 done, 1 failed, 0.09 USD" in capsys.readouterr().err
    for found in (results, billed.map(jobs(3), **given).all(), pickle.loads(pickle.dumps(results))):
        assert found[1].error.usage == Usage("0.03")
        assert [found[1].cost, sum(result.cost for result in found)] == [Decimal("0.03"), Decimal("0.09")]
        assert "2 of 3 done, 0.09 USD" in found._repr_html_()
        assert found.to_pandas()["cost"].sum() == Decimal("0.09")
        assert json.loads(json.dumps(found[1].to_dict()))["error"]["usage"]["cost"] == "0.03"
    assert Bills.made == 3
    with pytest.raises(TaskFailed) as raised:
        billed.task("task-2").wait()
    assert raised.value.usage.cost == Decimal("0.03")


def test_a_picture_that_was_paid_for_and_not_fetched_is_in_every_sum(billed, capsys):
    policy = Policy(poll=0.005, wait_timeout=1, retry=Backoff(first=0.001, most=0.001))
    results = billed.map(jobs(1), policy=policy, progress=True, **QUICK).all()
    assert isinstance(results[0].error, TransportError)
    assert results[0].cost == Decimal("0.03")
    assert "1 of 1 done, 1 failed, 0.03 USD" in capsys.readouterr().err
    Bills.made = 0
    with pytest.raises(TransportError) as raised:
        billed.run("glass_ball", URL, policy=policy)
    assert raised.value.usage.cost == Decimal("0.03")


def test_what_was_not_billed_has_no_cost(billed):
    results = billed.map([("glas_ball", URL)]).all()
    assert [results[0].cost, results[0].error.usage] == [None, None]
    assert "0 of 1 done, 0 USD" in results._repr_html_()
