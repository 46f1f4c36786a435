"""Wrong input: each error names what was given, the rule and the way out, and nothing is sent."""

import datetime
import io
import os
import pathlib
import warnings
from decimal import Decimal

import pytest
from conftest import PHOTO, URL

import spark_effects
from spark_effects import Backoff, Client, Emulator, Job, Pace, Policy, Template

GIVEN = {"api_key": "k", "base_url": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        ("wait_timeout", -1),
        ("wait_timeout", float("nan")),
        ("wait_timeout", float("inf")),
        ("wait_timeout", 10**400),
        ("request_timeout", 0),
        ("connect_timeout", datetime.timedelta(0)),
        ("poll", 0),
        ("poll", 1e-12),
        ("poll", "fast"),
        ("repeat", "sometimes"),
        ("budget", -1),
        ("budget", "abc"),
        ("budget", ""),
        ("budget", "$5"),
        ("budget", Decimal("NaN")),
        ("budget", 10**40),
        ("price", "0.03"),
        ("journal", ""),
        ("ca_bundle", ""),
    ],
)
def test_a_value_that_cannot_be_used_is_named_and_both_kinds_of_error(option, wrong):
    with pytest.raises(spark_effects.InvalidRequest, match=f"^{option} is .* give ") as caught:
        Client(**GIVEN, **{option: wrong})
    assert isinstance(caught.value, ValueError)
    assert caught.value.kind == "misconfigured"


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        ("api_key", ["SECRET"]),
        ("base_url", pathlib.Path("https://example.com")),
        ("uploads", 5),
        ("proxy", 5),
        ("allow_http", "no"),
        ("repeat", None),
        ("poll", None),
        ("wait_timeout", "10m"),
        ("budget", 0.5),
        ("price", 0.5),
        ("journal", 5),
        ("ca_bundle", 5),
    ],
)
def test_a_value_of_the_wrong_type_is_a_type_error_with_its_name(option, wrong):
    with pytest.raises(TypeError, match=f"^{option} is .*: give ") as caught:
        Client(**GIVEN | {option: wrong})
    assert "SECRET" not in str(caught.value)


def test_values_of_other_libraries_are_numbers_too():
    import numpy

    client = Client(**GIVEN, poll=Decimal("0.5"), wait_timeout=numpy.int64(7))
    assert client.policy == Policy(poll=Pace.fixed(0.5), wait_timeout=7)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Backoff(first=0),
        lambda: Backoff(factor=0.5),
        lambda: Backoff(factor=float("nan")),
        lambda: Backoff(jitter=-1),
        lambda: Backoff(first=5, most=1),
        lambda: Pace.backoff(0, 0),
    ],
)
def test_waits_that_would_never_rest_are_refused(make):
    with pytest.raises(spark_effects.InvalidRequest, match="give "):
        make()


@pytest.mark.parametrize(
    ("option", "wrong"),
    [("port", 99999), ("port", "x"), ("api_key", 5), ("placeholder", "x"), ("seed", -1), ("data_dir", 5)],
)
def test_options_of_the_emulator_are_checked_like_the_client_s(option, wrong):
    with pytest.raises((TypeError, ValueError), match=f"^{option} is .*: give "):
        Emulator(**{option: wrong})


def test_images_that_are_none_tell_what_to_do(client, emulator):
    closed = PHOTO.open("rb")
    closed.close()

    class Awaited:
        async def read(self):
            return b""

    class Nothing:
        def read(self):
            return None

    from PIL import Image

    with open(__file__) as text, open(os.devnull, "wb") as written, warnings.catch_warnings():
        warnings.simplefilter("error")
        for image, words in [
            (text, "mode 'rb'"),
            (written, "mode 'rb'"),
            (closed, "closed"),
            (Awaited(), "await"),
            (Nothing(), "bytes"),
            (pathlib.Path("https://example.com/cat.jpg"), "URLs as text"),
            ("https://example.com/\udcff", "surrogates"),
            (Image.new("F", (600, 600)), "'RGB'"),
            (Image.new("I", (600, 600)), "'RGB'"),
        ]:
            with pytest.raises((TypeError, ValueError), match=words):
                client.run("glass_ball", image)
    assert emulator.requests == []


def test_files_that_give_other_bytes_and_do_not_seek_are_read(client):
    class Odd:
        def read(self):
            return bytearray(PHOTO.read_bytes())

    reader, writer = os.pipe()
    os.write(writer, PHOTO.read_bytes()[:50_000])
    os.close(writer)
    whole = client.upload(PHOTO)
    assert client.upload(Odd()) == whole
    assert client.upload(memoryview(PHOTO.read_bytes())) == whole
    with os.fdopen(reader, "rb") as pipe:
        assert client.upload(pipe) != whole


def uploaded(client, image):
    import urllib.request

    from PIL import Image

    with urllib.request.urlopen(client.upload(image)) as answer:
        return Image.open(io.BytesIO(answer.read())).convert("RGB")


def test_sixteen_bits_of_grey_keep_their_shades(client):
    import numpy
    from PIL import Image

    grey = numpy.linspace(0, 255, 64 * 64).astype("uint8").reshape(64, 64)
    deep = (grey.astype("uint16") << 8) | 0x7F
    for kind, order in [("I;16", "<u2"), ("I;16B", ">u2")]:
        image = Image.frombytes(kind, (64, 64), deep.astype(order).tobytes())
        assert (numpy.asarray(uploaded(client, image))[:, :, 0] == grey).all(), kind


@pytest.mark.parametrize("view", ["reversed", "fortran", "part"])
def test_views_of_arrays_arrive_as_they_look(client, view):
    import numpy

    pixels = numpy.arange(24 * 32 * 3, dtype="uint8").reshape(24, 32, 3)
    given = {
        "reversed": pixels[::-1, ::-1],
        "fortran": numpy.asfortranarray(pixels),
        "part": pixels[::2, 3:9],
    }
    assert (numpy.asarray(uploaded(client, given[view])) == given[view]).all()


def test_check_lists_sides_and_templates_that_no_rule_could_hold(client):
    found = client.check("\udcff", URL, width=2**70, height=-(2**70))
    assert [rule.field for rule in found] == ["template_id", "width", "height"]
    assert client.check("glass_ball", b"")[0].field == "image_input1"


def test_what_is_no_picture_no_path_and_no_policy_is_told(client, tmp_path):
    effect = client.run("glass_ball", URL)
    for call, words in [
        (lambda: client.fetch("https://example.com/x.png"), "picture is 'str'"),
        (lambda: client.download(None, tmp_path / "x.png"), "picture is 'NoneType'"),
        (lambda: client.download(effect, 5), "path is 5"),
        (lambda: client.download(effect, None), "path is None"),
        (lambda: effect.save(5), "path is 5"),
        (lambda: client.run("glass_ball", URL, policy="quick"), "policy is 'quick'"),
        (lambda: Template.unlisted(5), "id is 5"),
        (lambda: spark_effects.templates(5), "query is 5"),
    ]:
        with pytest.raises(TypeError, match=words):
            call()
    with pytest.raises(ValueError, match="path is ''"):
        effect.save("")
    assert client.download(effect, os.fsencode(tmp_path / "x.png")) == str(tmp_path / "x.png")
    with pytest.raises(ValueError, match="did you mean 'glass_ball'"):
        Template("glas_ball")


def test_a_job_with_a_whole_photo_prints_in_a_line():
    job = Job("glass_ball", PHOTO.read_bytes())
    assert len(repr(job)) < 200
    assert f"<{PHOTO.stat().st_size} bytes>" in repr(job)
    assert len(repr(Job("glass_ball", "data:image/png;base64," + "A" * 10**6))) < 400
