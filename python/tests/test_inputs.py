"""Wrong input: each error names what was given, the rule and the way out, and nothing is sent."""

import datetime
import io
import os
import pathlib
import sys
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


def upright(client, image):
    import numpy

    return numpy.asarray(uploaded(client, image))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_pil_image_is_turned_as_its_exif_block_says(client, orientation):
    import numpy
    from PIL import Image, ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.open(PHOTO).convert("RGB").resize((60, 40)).save(file, "PNG", exif=exif)
    image = Image.open(file)
    ought = numpy.asarray(ImageOps.exif_transpose(Image.open(file)))
    assert (upright(client, image) == ought).all()


def test_a_pil_image_keeps_its_colour_profile_or_is_converted_by_it(client):
    import urllib.request

    from PIL import Image, ImageCms

    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    small, large = Image.new("RGB", (64, 64), (200, 40, 90)), Image.new("RGB", (2000, 1500), (200, 40, 90))
    for image, form in [(small, "PNG"), (small.convert("RGBA"), "PNG"), (large, "JPEG")]:
        image.info["icc_profile"] = srgb
        with urllib.request.urlopen(client.upload(image)) as answer:
            sent = Image.open(io.BytesIO(answer.read()))
        assert (sent.format, sent.info["icc_profile"]) == (form, srgb)
    # A profile of other colours converts them, and does not stay with what they become.
    converted = ImageCms.profileToProfile(small, ImageCms.createProfile("sRGB"), lab, outputMode="LAB")
    converted.info["icc_profile"] = lab.tobytes()
    with urllib.request.urlopen(client.upload(converted)) as answer:
        sent = Image.open(io.BytesIO(answer.read()))
    assert "icc_profile" not in sent.info
    assert max(abs(a - b) for a, b in zip(sent.getpixel((5, 5)), (200, 40, 90), strict=True)) <= 2


def test_a_pil_image_of_other_colours_arrives_where_pillow_converts_no_profiles(client, monkeypatch):
    import urllib.request

    from PIL import Image, ImageCms

    image = Image.new("CMYK", (64, 64), (40, 90, 10, 0))
    image.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    monkeypatch.delattr("PIL.ImageCms")
    monkeypatch.setitem(sys.modules, "PIL.ImageCms", None)
    with urllib.request.urlopen(client.upload(image)) as answer:
        sent = Image.open(io.BytesIO(answer.read()))
    assert (sent.mode, sent.size) == ("RGB", (64, 64))


@pytest.mark.parametrize("mode", ["P", "L", "1", "LA", "PA", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"])
def test_pil_images_of_every_mode_arrive_as_pillow_shows_them(client, mode):
    import numpy
    from PIL import Image

    image = Image.open(PHOTO).convert("RGB").resize((48, 32))
    image = image.convert("P").convert("PA") if mode == "PA" else image.convert(mode)
    assert (upright(client, image) == numpy.asarray(image.convert("RGB"))).all()


def test_transparency_arrives_as_pillow_has_it(client):
    import urllib.request

    import numpy
    from PIL import Image

    palette = Image.open(PHOTO).convert("RGB").resize((48, 32)).convert("P")
    palette.info["transparency"] = palette.getpixel((3, 3))
    key = Image.new("RGB", (32, 32), (1, 2, 3))
    key.info["transparency"] = (1, 2, 3)
    for image in (palette, key):
        with urllib.request.urlopen(client.upload(image)) as answer:
            sent = Image.open(io.BytesIO(answer.read()))
        assert (numpy.asarray(sent) == numpy.asarray(image.convert("RGBA"))).all()


def test_grey_and_float_arrays_are_pictures(client, caplog):
    import numpy

    grey = numpy.arange(24 * 32, dtype="uint32").reshape(24, 32).astype("uint8")
    colours = numpy.stack([grey, grey[::-1], 255 - grey], axis=2)
    for array in (grey, grey[:, :, None]):
        assert (upright(client, array)[:, :, 1] == grey).all()
    with caplog.at_level("INFO", logger="spark_effects"):
        for kind in ("float16", "float32", "float64"):
            assert (upright(client, (colours / 255).astype(kind)) == colours).all(), kind
        assert (upright(client, grey / 255)[:, :, 2] == grey).all()
    assert "from 0 to 1" in caplog.text


@pytest.mark.parametrize("worst", [1.5, -0.1, float("nan")])
def test_floats_of_another_range_and_arrays_of_other_kinds_are_refused(client, emulator, worst):
    import numpy

    array = numpy.full((8, 8, 3), 0.5)
    array[3, 3, 1] = worst
    for image in (array, numpy.zeros((8, 8, 3), "int64"), numpy.zeros((8, 8, 2), "uint8"), numpy.zeros(9)):
        with pytest.raises(TypeError, match=r"give .*uint8"):
            client.run("glass_ball", image)
    assert emulator.requests == []


def test_large_opaque_pixels_are_sent_as_jpeg(client):
    import urllib.request

    import numpy
    from PIL import Image

    noise = numpy.random.default_rng(1).integers(0, 255, (300, 400, 3), dtype="uint8")
    noise = numpy.asarray(Image.fromarray(noise).resize((4000, 3000)))
    opaque = numpy.dstack([noise, numpy.full((3000, 4000), 255, "uint8")])
    for image in (noise, opaque, Image.fromarray(noise), noise[:, :, 0]):
        with urllib.request.urlopen(client.upload(image)) as answer:
            body = answer.read()
        sent = Image.open(io.BytesIO(body))
        assert (sent.format, sent.size) == ("JPEG", (4000, 3000))
        assert len(body) < 8_000_000
        ours = numpy.asarray(sent.convert("RGB").reduce(8), dtype="int16")
        theirs = numpy.asarray(Image.fromarray(numpy.asarray(image)).convert("RGB").reduce(8), dtype="int16")
        assert abs(ours - theirs).mean() < 2
    clear = opaque.copy()
    clear[5, 5, 3] = 0
    with urllib.request.urlopen(client.upload(clear)) as answer:
        assert Image.open(io.BytesIO(answer.read())).format == "PNG"


def test_pixels_that_make_too_large_a_file_are_refused_by_what_was_given(client):
    import numpy

    noise = numpy.random.default_rng(1).integers(0, 255, (4000, 4000, 4), dtype="uint8")
    with pytest.raises(spark_effects.InvalidRequest, match=r"the pixels, 4000x4000, make a file of .*'RGB'"):
        client.upload(noise)


def test_an_upload_of_a_web_framework_and_a_file_at_its_end(client):
    class UploadFile:
        def __init__(self, file):
            self.file, self.filename = file, "cat.png"

        async def read(self):
            return self.file.read()

    whole = client.upload(PHOTO)
    with PHOTO.open("rb") as file:
        assert client.upload(UploadFile(file)) == whole
        for at_its_end in (file, UploadFile(file)):
            with pytest.raises(ValueError, match=r"0 bytes left: seek\(0\)\?"):
                client.upload(at_its_end)
    buffer = io.BytesIO()
    buffer.write(PHOTO.read_bytes())
    with pytest.raises(ValueError, match=r"seek\(0\)"):
        client.run("glass_ball", buffer)


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


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda c: Client("sk-a-key"), "Client() takes options by name alone: api_key=, base_url="),
        (lambda c: spark_effects.AsyncClient("sk-a-key"), "AsyncClient() takes options by name alone"),
        (lambda c: Client(url="http://127.0.0.1:9"), "no option 'url': did you mean 'base_url'?"),
        (lambda c: Client(key="sk-a-key"), "did you mean 'api_key'?"),
        (lambda c: Client(timeout=3), "did you mean 'wait_timeout'?"),
        (lambda c: Emulator("127.0.0.1"), "Emulator() takes options by name alone: host=, port="),
        (lambda c: Job(id="task-1"), "Job() has no option 'id': client.task(id) takes up a task"),
        (lambda c: Job(template_id="glass_ball", image=URL), "did you mean 'template'?"),
        (lambda c: Job("glass_ball"), "Job() has no image: give it"),
        (lambda c: Job("glass_ball", URL, 512), "Job() takes template and image, and then options by name"),
        (lambda c: c.task(None), "id is None: give the id of a task, as text"),
        (lambda c: c.task(3), "id is 3: give text"),
    ],
)
def test_a_call_that_does_not_fit_is_told_in_the_words_of_the_caller(client, emulator, call, said):
    with pytest.raises(TypeError) as raised:
        call(client)
    words = str(raised.value)
    assert said in words
    for inner in ("__init__", "_ClientBase", "instance of", "sk-a-key", "positional"):
        assert inner not in words
    assert emulator.requests == []


def test_a_time_may_be_numpy_s():
    numpy = pytest.importorskip("numpy")
    assert Policy(wait_timeout=numpy.timedelta64(1500, "ms")).wait_timeout == 1.5
    assert Policy(wait_timeout=numpy.timedelta64(2, "m")).wait_timeout == 120
    for wrong in (numpy.timedelta64("NaT"), numpy.timedelta64(-1, "s")):
        with pytest.raises(spark_effects.InvalidRequest, match="wait_timeout is"):
            Policy(wait_timeout=wrong)


def test_a_picture_for_a_folder_that_is_not_there_names_the_folder(client, tmp_path):
    effect = client.run("glass_ball", URL)
    for place in ("nope/x.png", "nope/"):
        with pytest.raises(FileNotFoundError, match="the folder is not there: make it") as raised:
            effect.save(f"{tmp_path}/{place}")
        assert raised.value.filename == str(tmp_path / "nope")
    (tmp_path / "nope").mkdir()
    assert os.path.exists(effect.save(tmp_path / "nope"))


def test_what_is_missing_for_a_key_is_said_for_python_too(monkeypatch):
    with pytest.raises(spark_effects.AuthError) as raised:
        Client()
    for words in ("nothing was sent", "EFFECTS_API_KEY", "api_key", "`with Emulator() as emulator"):
        assert words in str(raised.value)


def test_a_template_that_is_none_names_what_lists_them_in_python(client):
    for template in ("spaceship", ""):
        with pytest.raises(spark_effects.InvalidRequest) as raised:
            client.run(template, URL)
        rules = (raised.value.violations[0], client.check(template, URL)[0])
        for said in (str(raised.value), *(rule.message for rule in rules)):
            assert "spark_effects.templates() lists them" in said, said
            assert "effects templates" not in said, said


def test_photos_that_are_none_or_too_large_are_the_caller_s(client, emulator):
    for photo, said in ((b"", "is empty"), (b"%PDF-1.7", "is not a picture: it is a PDF")):
        with pytest.raises(spark_effects.InvalidRequest, match=said):
            client.run("glass_ball", photo)
    emulator.follow({"fault": [{"on": "upload", "kind": "status", "status": 413}]})
    with pytest.raises(spark_effects.InvalidRequest, match="no photo of this size: make it") as raised:
        client.run("glass_ball", PHOTO)
    assert (raised.value.kind, raised.value.status) == ("unusable_photo", 413)
    assert "nothing was submitted" in str(raised.value)


def test_a_task_that_goes_on_is_offered_to_python_and_to_a_shell(client, emulator):
    task = client.submit("glass_ball", URL)
    emulator.follow({"fault": [{"on": "task", "kind": "status", "status": 500}]})
    with pytest.raises(spark_effects.EffectsError) as raised:
        task.wait(wait_timeout=0.05)
    assert f'client.task("{task.id}").wait()' in str(raised.value)
    assert f"{raised.value.resume_line} in a shell that has the key" in str(raised.value)
