"""What is saved where: never in place of the photo, a link or a device; and what is told of downloads."""

import asyncio
import http.server
import io
import logging
import os
import pathlib
import pickle
import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import PHOTO, URL

from spark_effects import Client, Effect, Emulator, InvalidRequest, Job, Picture, TransportError, Usage

WHOLE = PHOTO.read_bytes()


def picture(data=WHOLE):
    return Picture("task-1", "https://example.com/out.png", len(data), None, data)


def read_pipe(path):
    """Reads a pipe on a thread of its own; the thread's `read` is what came."""
    thread = threading.Thread(target=lambda: setattr(thread, "read", path.read_bytes()), daemon=True)
    thread.start()
    return thread


def test_a_pipe_and_a_device_are_written_to(tmp_path, client):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    thread = read_pipe(pipe)
    assert picture().save(pipe) == str(pipe)
    thread.join(60)
    assert thread.read == WHOLE
    assert stat.S_ISFIFO(pipe.lstat().st_mode)

    effect = client.run("glass_ball", URL)
    thread = read_pipe(pipe)
    assert client.download(effect, pipe) == str(pipe)
    thread.join(60)
    assert thread.read == effect.bytes()

    # By a link: what would be replaced if it were is not the system's.
    null = tmp_path / "null"
    null.symlink_to("/dev/null")
    effect.save(null)
    client.download(effect, null)
    assert null.is_symlink()
    assert stat.S_ISCHR(null.stat().st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["null", "pipe"]


def test_a_link_stays_a_link_and_the_picture_is_where_it_leads(tmp_path, client):
    effect = client.run("glass_ball", URL)
    (tmp_path / "pictures").mkdir()
    link = tmp_path / "link.png"
    link.symlink_to("pictures/ball.png")
    for save in (effect.save, lambda path: client.download(effect, path)):
        save(link)
        assert link.is_symlink()
        assert (tmp_path / "pictures" / "ball.png").read_bytes() == effect.bytes()
        (tmp_path / "pictures" / "ball.png").write_bytes(b"before")


def test_what_cannot_be_written_is_the_system_s_own_error(tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        picture().save(tmp_path / "nowhere" / "ball.png")
    assert raised.value.errno == 2
    # What is missing is the folder.
    assert raised.value.filename == str(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(io.UnsupportedOperation), open(PHOTO, "rb") as file:
        picture().save(file)


def test_a_picture_in_a_folder_gets_a_name_and_replaces_nothing(tmp_path):
    one, other = picture(), Picture("task-1", "https://example.com/2", None, None, WHOLE[:-1] + b"x")
    path = one.save(tmp_path)
    assert path == one.save(str(tmp_path)) == str(tmp_path / f"{one.task_id}.png")
    beside = other.save(tmp_path)
    assert beside == other.save(tmp_path) != path
    assert pathlib.Path(path).read_bytes() == one.bytes()
    assert pathlib.Path(beside).read_bytes() == other.bytes()
    effect = Effect("../t", [("../t", "u", 3, None, WHOLE)], Usage(), None, None, "{}", "glass_ball", 1.0)
    path = pathlib.Path(effect.save(tmp_path))
    assert path.parent == tmp_path
    assert path.name.startswith("glass_ball-.._t-")
    assert len(list(tmp_path.iterdir())) == 3
    os.mkfifo(tmp_path / "pipe.png")
    pipe = Picture("pipe", "https://example.com/2", None, None, WHOLE)
    assert pipe.save(tmp_path) == str(tmp_path / "pipe-2.png")


def test_savers_of_one_name_into_one_folder_never_overwrite_each_other(tmp_path):
    savers = 8
    for turn in range(20):
        folder = tmp_path / str(turn)
        folder.mkdir()
        barrier = threading.Barrier(savers)

        def save(number, folder=folder, barrier=barrier):
            # Each picture is saved by two.
            one = picture(WHOLE + bytes([number // 2]))
            barrier.wait()
            return one.save(folder), one.bytes()

        with ThreadPoolExecutor(savers) as pool:
            saved = list(pool.map(save, range(savers)))
        assert [pathlib.Path(path).read_bytes() for path, _ in saved] == [data for _, data in saved]
        assert len(list(folder.iterdir())) == len({path for path, _ in saved}) == savers // 2


class Sips(io.RawIOBase):
    """Takes seven bytes at once, as a socket may."""

    def __init__(self):
        super().__init__()
        self.taken = b""

    def writable(self):
        return True

    def write(self, data):
        self.taken += bytes(data[:7])
        return len(data[:7])


def test_a_picture_goes_into_an_open_file(tmp_path):
    memory, sips = io.BytesIO(), Sips()
    assert picture().save(memory) is None
    assert memory.getvalue() == picture().bytes()
    picture().save(sips)
    assert sips.taken == picture().bytes()
    with open(tmp_path / "ball.png", "wb") as file:
        picture().save(file)
        assert not file.closed
    assert (tmp_path / "ball.png").read_bytes() == picture().bytes()
    with open(tmp_path / "text.png", "w") as file, pytest.raises(TypeError, match="mode 'wb'"):
        picture().save(file)
    assert (tmp_path / "text.png").read_bytes() == b""


@pytest.mark.parametrize(
    ("name", "warns"),
    [
        ("a.jpg", True),
        ("a.JPEG", True),
        ("a.webp", True),
        ("a.tiff", True),
        ("a.PNG", False),
        ("a", False),
        ("a.out", False),
    ],
)
def test_a_suffix_that_is_not_the_format_s_is_warned_of(tmp_path, caplog, name, warns):
    Picture("task-1", "https://example.com/2", None, None, WHOLE).save(tmp_path / name)
    logged = messages(caplog)
    assert len(logged) == warns
    if warns:
        assert "is a PNG, whatever its suffix says" in logged[0]
        assert name in logged[0]


def photos(folder):
    """A photo, a hard link to it and a symbolic one."""
    photo, hard, soft = (folder / name for name in ("cat.png", "hard.png", "soft.png"))
    photo.write_bytes(WHOLE)
    hard.hardlink_to(photo)
    soft.symlink_to(photo)
    return photo, hard, soft


def test_no_picture_replaces_its_photo(tmp_path, emulator, client, monkeypatch):
    photo, *others = photos(tmp_path)
    monkeypatch.chdir(tmp_path)

    def is_refused(effect, through=client):
        for path in (photo, "cat.png", *others):
            with pytest.raises(InvalidRequest, match="is the photo"):
                effect.save(path)
            with pytest.raises(InvalidRequest, match="is the photo"):
                effect.picture.save(path)
            with pytest.raises(InvalidRequest, match="is the photo"):
                through.download(effect, path)
        assert photo.read_bytes() == WHOLE
        effect.save(tmp_path / "ball.png")

    effect = client.run("glass_ball", photo)
    is_refused(effect)
    is_refused(pickle.loads(pickle.dumps(effect)))
    is_refused(client.run("glass_ball", "soft.png"))
    with photo.open("rb") as file:
        is_refused(client.run("glass_ball", file))
    is_refused(client.submit("my_world", str(photo)).wait())
    for job in (
        Job("glass_ball", photo),
        ("glass_ball", photo),
        {"template": "glass_ball", "image": "cat.png"},
    ):
        (result,) = client.map([job])
        is_refused(result.unwrap())

    async def awaited():
        own = emulator.async_client(poll=0.005)
        effect = await own.run("glass_ball", photo)
        with pytest.raises(InvalidRequest, match="is the photo"):
            await own.download(effect, photo)
        return effect

    is_refused(asyncio.run(awaited()))
    # Nothing is known of the file that bytes came from.
    client.run("glass_ball", WHOLE).save(photo)
    assert photo.read_bytes() != WHOLE


def messages(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "spark_effects"]


def test_a_picture_of_another_length_than_the_service_said_is_fetched_with_a_warning(caplog):
    plan = {"fault": [{"on": "create", "kind": "wrong-size"}]}
    with Emulator(pictures="stub", faults=plan) as emulator:
        client = emulator.client(poll=0.005)
        effect = client.run("glass_ball", URL)
        assert len(effect.bytes()) != effect.picture.size
        (logged,) = messages(caplog)
        assert "bytes where the service said" in logged
        assert effect.task_id in logged
        caplog.clear()

        client.fetch(effect.picture)
        list(client.map([("glass_ball", URL), ("my_world", URL)]))
        task = client.submit("glass_ball", URL)
        events = task.events()
        list(events)
        events.finish()

        async def awaited():
            own = emulator.async_client(poll=0.005)
            effect = await own.run("glass_ball", URL)
            await own.fetch(effect.picture)
            async for result in own.as_completed([("glass_ball", URL)]):
                result.unwrap()

        asyncio.run(awaited())
    assert len(messages(caplog)) == 7
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


class Halves(http.server.BaseHTTPRequestHandler):
    """Breaks off in the middle of the picture until it is told to go on."""

    whole = threading.Event()

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(WHOLE)))
        self.end_headers()
        self.wfile.write(WHOLE if self.whole.is_set() else WHOLE[:1000])
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def halves():
    Halves.whole.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Halves) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/out.png"
        server.shutdown()


@pytest.mark.parametrize("awaits", [False, True])
def test_a_download_that_is_repeated_is_told_while_it_is_waited_for(caplog, halves, emulator, awaits):
    class Release(logging.Handler):
        def emit(self, record):
            # Nothing else lets the download end.
            Halves.whole.set()

    logger, release = logging.getLogger("spark_effects"), Release()
    logger.addHandler(release)
    wanted = Picture("task-1", halves, len(WHOLE))
    try:
        if awaits:
            fetched = asyncio.run(emulator.async_client(wait_timeout=30).fetch(wanted))
        else:
            fetched = emulator.client(wait_timeout=30).fetch(wanted)
    finally:
        logger.removeHandler(release)
    assert fetched == WHOLE
    assert "downloading the picture of task task-1 again in" in messages(caplog)[0]


SLY = "a\u202eb\u2066\u200f\u061c\u200b\ufeff\U000e0041z"
NASTY = f"{SLY}\x1b[2J\x9b31m\x07\x7f\r\nforged\x85\u2028"
FINE = "Größe 尺寸 👩\u200d🚀"


def is_plain(text):
    """Whether what is nasty in a text is shown and does nothing."""
    return "202e" in text and not set(text) & (set(NASTY) - set("ab[2J31mforgedz"))


def test_what_a_terminal_shows_of_errors_and_records_is_escaped():
    from spark_effects import ServiceError, TaskStatus, Usage

    task = f"task-{SLY}"
    client = Client(api_key="k", base_url="http://127.0.0.1:9", request_timeout=0.2, wait_timeout=0.2)
    handle = client.task(task)
    with pytest.raises(TransportError) as raised:
        handle.status()
    assert is_plain(str(raised.value))
    assert raised.value.task_id == task
    effect = Effect(task, [(task, NASTY, 3, None, None)], Usage(), None, (NASTY, NASTY), "{}", NASTY, 1.0)
    status = TaskStatus(task, NASTY, None, None, [], None, (NASTY, NASTY), None, "{}")
    for shown in (
        repr(effect),
        repr(effect.picture),
        str(effect.warning),
        repr(effect.warning),
        repr(status),
    ):
        assert is_plain(shown)
    assert is_plain(repr(handle))
    with pytest.raises(ValueError) as raised:
        effect.bytes()
    assert is_plain(str(raised.value))
    assert str(ServiceError("7", FINE)) == f"{FINE} (7)"


def test_a_photo_s_name_is_escaped_in_errors(tmp_path, client):
    with pytest.raises(InvalidRequest) as raised:
        client.run("glass_ball", tmp_path / NASTY)
    assert is_plain(str(raised.value))
