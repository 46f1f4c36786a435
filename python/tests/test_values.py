"""Values and records: compared, printed, pickled; the catalogue is the core's."""

import pickle
from decimal import Decimal
from fractions import Fraction

import numpy
import pytest
from conftest import URL

import spark_effects
from spark_effects import Backoff, Client, Effect, Emulator, Pace, Policy, Template, Usage


def test_the_catalogue_is_the_core_s():
    own = [(template.value, template.title, template.group) for template in Template]
    assert own == spark_effects._native.templates()
    assert len(own) == 30


def test_a_template_is_the_text_of_its_id():
    assert Template.GLASS_BALL == "glass_ball"
    assert str(Template.GLASS_BALL) == f"{Template.GLASS_BALL}" == "glass_ball"
    assert Template("glass_ball") is Template.GLASS_BALL
    assert pickle.loads(pickle.dumps(Template.GLASS_BALL)) is Template.GLASS_BALL
    assert spark_effects.templates("SPRING wall") == [Template.SPRING_FESTIVAL_RED_WALL]
    assert len(spark_effects.templates()) == 30


@pytest.mark.parametrize(
    "value",
    [
        Backoff(first=1, most=9),
        Pace(),
        Pace.fixed(0.0001),
        Pace.backoff(1, 5),
        Policy(),
        Policy(poll=2, repeat="never", retry=Backoff(first=1)),
    ],
)
def test_values_compare_print_and_pickle(value):
    again = pickle.loads(pickle.dumps(value))
    assert again == value
    assert hash(again) == hash(value)
    assert eval(repr(value), vars(spark_effects)) == value
    assert value != object()
    with pytest.raises(AttributeError, match="is a value"):
        value.anything = 1


def test_a_policy_is_changed_by_making_another():
    policy = Policy(poll=2)
    assert policy.replace(wait_timeout=5) == Policy(poll=2, wait_timeout=5)
    with pytest.raises(TypeError):
        policy.replace(wait_timout=5)
    with pytest.raises(spark_effects.InvalidRequest, match="repeat"):
        Policy(repeat="often")


# Python writes no whole number of more than 4300 digits.
HUGE = {"400": 10**400, "5000": 10**5000, "-400": -(10**400), "fraction": Fraction(10) ** 400}


@pytest.mark.parametrize("given", HUGE.values(), ids=HUGE)
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("factor", lambda given: Backoff(factor=given)),
        ("jitter", lambda given: Backoff(jitter=given)),
        ("first", lambda given: Backoff(first=given)),
        ("interval", Pace.fixed),
        ("wait_timeout", lambda given: Policy(wait_timeout=given)),
        ("latency", lambda given: Emulator(latency=given)),
        ("port", lambda given: Emulator(port=given)),
        ("price", lambda given: Emulator(price=given)),
        ("polls_per_second", lambda given: map_with(polls_per_second=given)),
        ("in_flight", lambda given: map_with(in_flight=given)),
        ("budget", lambda given: map_with(budget=given)),
        ("connect_timeout", lambda given: Client(api_key="a-key", connect_timeout=given)),
        ("extra", lambda given: Client(api_key="a-key").run("glass_ball", URL, extra={"seed": given})),
    ],
)
def test_a_number_that_is_too_large_is_told_by_its_name(name, make, given):
    if name == "extra" and given == 10**400:
        # JSON has it.
        return
    with pytest.raises((TypeError, ValueError), match=f"^{name} ") as raised:
        make(given)
    assert len(str(raised.value)) < 500
    assert not isinstance(raised.value, OverflowError)


def map_with(**options):
    return Client(api_key="a-key", base_url="http://127.0.0.1:1").map([("glass_ball", URL)], **options)


@pytest.mark.parametrize("given", [numpy.array([1.0, 2.0]), numpy.array("x"), numpy.array([])])
def test_an_array_that_is_no_number_is_told_by_the_option_s_name(given):
    with pytest.raises(TypeError, match=r"^factor is .*: give a number"):
        Backoff(factor=given)
    with pytest.raises(TypeError, match=r"^poll is .*: give seconds"):
        Policy(poll=given)


def test_records_pickle_and_keep_what_they_know(client):
    task = client.submit("glass_ball", URL)
    effect = task.wait()
    for record in (effect, effect.pictures[0], effect.usage, task.status()):
        again = pickle.loads(pickle.dumps(record))
        assert again == record
        assert hash(again) == hash(record)
        assert repr(again) == repr(record)
        with pytest.raises(AttributeError):
            record.url = "elsewhere"
    assert pickle.loads(pickle.dumps(effect)).bytes() == effect.bytes()


def test_money_is_decimal_to_the_digit():
    usage = Usage("0.10", "1")
    assert (str(usage.cost), usage.discount) == ("0.10", Decimal(1))
    assert Usage().cost is None
    sent = Usage(unreadable_cost="0.10 USD")
    assert (sent.cost, sent.unreadable_cost) == (None, "0.10 USD")
    assert pickle.loads(pickle.dumps(sent)) == sent != Usage()


def test_several_pictures_have_to_be_told_apart():
    pictures = [("t", f"https://example.com/{n}.png", 3, None, b"png") for n in range(2)]
    effect = Effect("t", pictures, ("0.03", None), None, None, "{}", None, 1.0)
    for forward in (lambda: effect.url, effect.bytes, effect.image, lambda: effect.save("x")):
        with pytest.raises(ValueError, match="2 pictures"):
            forward()
    assert [picture.bytes() for picture in effect.pictures] == [b"png", b"png"]
