"""The records that Python callers get: `Effect`, a completed task with its `Picture` objects and its
`Usage`; `TaskStatus`, what one poll showed, with its `ServiceError`; and `Event`, one event of a run. They
save and show pictures, but touch no network: ``client.fetch`` brings a picture's bytes. The methods of
clients and tasks, ``map``, ``as_completed`` and ``on_event`` functions give them to callers. Their base
`_Record` (immutable, comparable, picklable) is also that of the records in `_hooks.py` and `_emulator.py`.
"""

import os

from . import _native
from ._values import is_own, own_state, package_class, path_text, refused

__all__ = ["Effect", "Event", "Picture", "ServiceError", "TaskStatus", "Usage"]


def _json(text):
    if text is None:
        return None
    # Read when it is asked for: most callers never look at a raw answer or into an event.
    import json

    return json.loads(text)


class _Record:
    """Equality, pickling and immutability out of `_fields`."""

    __slots__ = ()
    _fields = ()

    def _facts(self):
        return tuple(getattr(self, name) for name in self._fields)

    def __setattr__(self, name, value):
        # What a subclass adds may change; the record's own fields may not.
        if not is_own(self, name):
            raise AttributeError(f"{type(self).__name__} is a record and keeps its {name}")
        object.__setattr__(self, name, value)

    def __delattr__(self, name):
        raise AttributeError(f"{type(self).__name__} is a record and keeps its {name}")

    def __eq__(self, other):
        if type(other) is not type(self):
            return NotImplemented
        return self._facts() == other._facts()

    def __hash__(self):
        return hash(self._facts())

    def __reduce__(self):
        return (_remade, (type(self), self._facts()), own_state(self))


def _remade(kind, facts):
    # A subclass may take other arguments; what it adds follows as state.
    record = object.__new__(kind)
    package_class(kind).__init__(record, *facts)
    return record


# Past the records' own `__setattr__`, which refuses to change a field.
_set = object.__setattr__


class Usage(_Record):
    """What a task cost.

    Attributes:
        unreadable_cost: what the service sent for a cost that is no number from 0 to 10 000; then
            `cost` is ``None``.
    """

    __slots__ = _fields = ("_cost", "_discount", "unreadable_cost")

    def __init__(self, cost=None, discount=None, unreadable_cost=None):
        # As text, as the native half gives it: a `Decimal` is made where it is asked for.
        _set(self, "_cost", cost)
        _set(self, "_discount", discount)
        _set(self, "unreadable_cost", unreadable_cost)

    @property
    def cost(self):
        """The cost in USD, exact to the digit, as a `decimal.Decimal`; ``None`` if it was not said,
        or cannot be read.
        """
        return _decimal(self._cost)

    @property
    def discount(self):
        """The service's discount; whether it is an amount or a factor is not known."""
        return _decimal(self._discount)

    def to_dict(self):
        """It as a dict for JSON: costs are text, exact to the digit."""
        unreadable = {} if self.unreadable_cost is None else {"unreadable_cost": self.unreadable_cost}
        return {"cost": self._cost, "discount": self._discount, **unreadable}

    def __repr__(self):
        sent = self.unreadable_cost
        unreadable = "" if sent is None else f", unreadable_cost={sent!r}"
        return f"Usage(cost={self.cost!r}, discount={self.discount!r}{unreadable})"


def _decimal(text):
    if text is None:
        return None
    from decimal import Decimal

    return Decimal(text)


class ServiceError(_Record):
    """What the service says went wrong with a task.

    Attributes:
        code: the service's code, such as ``"3009095"``, if it gave one.
        message: its words.
    """

    __slots__ = _fields = ("code", "message")

    def __init__(self, code, message):
        _set(self, "code", code)
        _set(self, "message", message)

    def to_dict(self):
        """It as a dict for JSON."""
        return {"code": self.code, "message": self.message}

    def __str__(self):
        # The words are the service's: a terminal must not obey what is in them.
        words = self.message or "no reason given"
        return _native.printable(f"{words} ({self.code})" if self.code else words)

    def __repr__(self):
        return f"ServiceError(code={self.code!r}, message={self.message!r})"


class _Format:
    """A format of pictures: its name, its media type, and the suffixes of its files."""

    def __init__(self, name, media_type, *suffixes):
        self.name = name
        self.media_type = media_type
        self.suffixes = suffixes


_PNG = _Format("a PNG", "image/png", ".png")
_JPEG = _Format("a JPEG", "image/jpeg", ".jpg", ".jpeg", ".jpe", ".jfif")
_WEBP = _Format("a WebP", "image/webp", ".webp")
# Those that readers go by, also where no picture of the service is one.
_SUFFIXES = {
    *(suffix for one in (_PNG, _JPEG, _WEBP) for suffix in one.suffixes),
    *(".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif", ".jxl", ".jp2", ".pdf", ".svg"),
}


def format_of(data):
    """The format of a picture by its first bytes; ``None`` if it is another."""
    if data.startswith(b"\x89PNG"):
        return _PNG
    if data.startswith(b"\xff\xd8\xff"):
        return _JPEG
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _WEBP
    return None


def _write_into(file, data):
    """Writes into a file that is open."""
    import io

    if isinstance(file, io.TextIOBase):
        raise TypeError("the file is open for text: open it with mode 'wb'")
    left = memoryview(data)
    while left:
        written = file.write(left)
        # An unbuffered file may take a part.
        left = left[written:] if isinstance(written, int) else left[:0]


def _file_holds(path, data):
    """Whether a file holds these bytes."""
    try:
        # A pipe would be waited for.
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            # One byte more than ought to be there, so that a longer file differs.
            return file.read(len(data) + 1) == data
    except OSError:
        return False


def _safe_file_name(name):
    """A name from outside as the name of a file: itself, or with what could act in a path replaced."""
    kept = "".join(one if one.isascii() and (one.isalnum() or one in "-_.") else "_" for one in name)[:90]
    # A dot would hide the file, and a dash make it an option of a command.
    if kept[:1] in (".", "-"):
        kept = f"_{kept[1:]}"
    if kept == name:
        return kept
    # Two names that are replaced alike must not become one file.
    import binascii

    return f"{kept}-{binascii.crc32(name.encode(errors='surrogatepass')):08x}"


class Picture(_Record):
    """One picture of an effect: its link, which expires, and its bytes if they were fetched.

    Attributes:
        task_id: the task that made it.
        url: where it is; the service does not say for how long.
        size: its length in bytes, if the service said.
        job_id: the service's "remote job ID".
    """

    __slots__ = _fields = ("task_id", "url", "size", "job_id", "_bytes", "_photo")

    def __init__(self, task_id, url, size=None, job_id=None, data=None, photo=None):
        _set(self, "task_id", task_id)
        _set(self, "url", url)
        _set(self, "size", size)
        _set(self, "job_id", job_id)
        _set(self, "_bytes", data)
        # The file it was made of, which it must not replace.
        _set(self, "_photo", photo)

    @property
    def fetched(self):
        """Whether its bytes are here."""
        return self._bytes is not None

    def bytes(self):
        """Its bytes, as fetched.

        Raises:
            ValueError: they were not fetched: use ``client.fetch(picture)``.
        """
        if self._bytes is None:
            raise ValueError(
                f"the picture of task {_native.printable(self.task_id)} was not fetched: "
                "use client.fetch(picture), or client.download(picture, path)"
            )
        return self._bytes

    def save(self, path):
        """Writes its bytes to a file, which appears whole or not at all; returns the path.

        A device or a pipe is written to, and a symbolic link stays one. In a folder the picture gets a name
        of its own, ``TASKID.png``, and replaces nothing but the same picture. A name whose suffix is not
        the picture's format is a warning of the logger ``"spark_effects"``.

        Args:
            path: a path, a folder that is there, or a binary file that is open for writing: what is there
                at its place is written over, it stays open, and ``None`` is returned.

        Raises:
            ValueError: they were not fetched: use ``client.download(picture, path)``.
            InvalidRequest: the path is the photo that the picture was made of.
            OSError: the file cannot be written.
        """
        return self._save(path, self.task_id)

    def _save(self, path, stem):
        """`save`, with the name in a folder, without its suffix."""
        data = self.bytes()
        if path is None:
            raise TypeError("path is None: give a path, as text or a Path")
        if hasattr(path, "write"):
            return _write_into(path, data)
        target = path_text("path", path)
        if os.path.isdir(target):
            return self._save_in(target, stem)
        target = self._checked_target(path)
        format = format_of(data)
        suffix = os.path.splitext(target)[1].lower()
        # Warned of, and written all the same: the picture is paid for, and the name is the caller's.
        if format is not None and suffix in _SUFFIXES and suffix not in format.suffixes:
            shown = _native.printable(target)
            _native.warn(
                f"the picture in {shown} is {format.name}, whatever its suffix says: readers that go by the "
                f"suffix may refuse it; {format.suffixes[0]} fits"
            )
        folder = os.path.dirname(target)
        # The system's own error would name the file, where the folder is what is missing.
        if folder and not os.path.exists(folder):
            import errno

            why = "the folder is not there: make it and save again, the picture is kept here until then"
            raise FileNotFoundError(errno.ENOENT, why, folder)
        _native.write_file(target, data)
        return target

    def _save_in(self, folder, stem):
        """Writes the picture under its name in a folder; beside others of that name."""
        data, format, number = self.bytes(), format_of(self.bytes()), 1
        while True:
            beside = "" if number == 1 else f"-{number}"
            target = os.path.join(
                folder, f"{_safe_file_name(stem)}{beside}{format.suffixes[0] if format else ''}"
            )
            # Not `exists`: a link that leads nowhere is in the way, too. Another thread or process may take
            # the name after this look.
            if not os.path.lexists(target) and _native.write_new_file(target, data):
                return target
            if _file_holds(target, data):
                return target
            number += 1

    def _checked_target(self, path):
        """A path as text, unless it leads to the photo that the picture was made of."""
        target = path_text("path", path)
        try:
            # By the file and not by its name: a link, or another spelling of the path, leads to it as well.
            is_photo = self._photo is not None and os.path.samefile(self._photo, target)
        except OSError:
            # One of them is not there.
            is_photo = False
        if is_photo:
            raise refused("path", path, "it is the photo the picture was made of; give another")
        return target

    def image(self):
        """It as a PIL image.

        Raises:
            ImportError: Pillow is not installed.
            ValueError: the bytes were not fetched.
        """
        data = self.bytes()
        try:
            from PIL import Image
        except ImportError as error:
            raise ImportError("image() needs Pillow: pip install pillow") from error
        import io

        image = Image.open(io.BytesIO(data))
        # Pillow opens a file without decoding it: errors in the picture come here, and not at its first
        # use.
        image.load()
        return image

    def to_dict(self):
        """What is known of it, as a dict for JSON; without its bytes."""
        format = format_of(self._bytes or b"")
        size = self.size if self._bytes is None else len(self._bytes)
        return {
            "url": self.url,
            "format": format and format.suffixes[0][1:],
            "bytes": size,
            "job_id": self.job_id,
        }

    def _media_type(self):
        format = format_of(self._bytes or b"")
        return format and format.media_type

    def __repr__(self):
        state = f"{len(self._bytes)} bytes" if self.fetched else "not fetched"
        return _native.printable(f"<Picture of task {self.task_id}: {self.url}, {state}>")

    def _repr_mimebundle_(self, include=None, exclude=None):
        from . import _display

        return _display.picture(self)

    def _repr_html_(self):
        return self._repr_mimebundle_()["text/html"]

    def _repr_png_(self):
        from . import _display

        return _display.png(self)


class Effect(_Record):
    """A finished task: its pictures and its bill.

    `url`, `save`, `bytes` and `image` forward to its only picture and raise `ValueError` if there are
    several. They never touch the network.

    Attributes:
        task_id: the task that made it.
        pictures: the pictures; never empty, usually one.
        usage: what it cost.
        warning: an error the service reported beside a usable picture.
        template: the id of the template, if this client knows it.
        elapsed: seconds from the submission to the picture; from the beginning of the wait, where it is not
            known when the task was submitted.
    """

    __slots__ = _fields = (
        "task_id",
        "pictures",
        "usage",
        "_metadata",
        "warning",
        "_raw",
        "template",
        "elapsed",
        "_photo",
        "_response",
    )

    def __init__(
        self,
        task_id,
        pictures,
        usage,
        metadata,
        warning,
        raw,
        template,
        elapsed,
        photo=None,
        response=None,
    ):
        _set(self, "task_id", task_id)
        _set(self, "pictures", tuple(_of_photo(_record_of(Picture, one), photo) for one in pictures))
        _set(self, "usage", _record_of(Usage, usage))
        _set(self, "_metadata", metadata)
        _set(self, "warning", warning and _record_of(ServiceError, warning))
        _set(self, "_raw", raw)
        _set(self, "template", template)
        _set(self, "elapsed", elapsed)
        _set(self, "_photo", photo)
        # The status, the name of the exchange and the headers.
        _set(self, "_response", response and (*response[:2], tuple(map(tuple, response[2]))))

    @property
    def request_id(self):
        """The service's name for the exchange that showed the effect, for its support; ``None`` if it gave
        none, or where a journal alone tells of the effect.
        """
        return self._response and self._response[1]

    @property
    def status(self):
        """The HTTP status of the answer that showed the effect."""
        return self._response and self._response[0]

    @property
    def headers(self):
        """Of that answer, the headers by which it is found again, by their names in small letters."""
        return dict(self._response[2]) if self._response else {}

    @property
    def metadata(self):
        """The service's own notes on the task."""
        return _json(self._metadata)

    @property
    def raw(self):
        """The whole answer of the service; empty where a journal alone tells of the effect."""
        return _json(self._raw)

    @property
    def picture(self):
        """The only picture.

        Raises:
            ValueError: there are several.
        """
        if len(self.pictures) != 1:
            task = _native.printable(self.task_id)
            raise ValueError(f"task {task} has {len(self.pictures)} pictures: choose one of effect.pictures")
        return self.pictures[0]

    @property
    def url(self):
        """Where the picture is. The link expires."""
        return self.picture.url

    def bytes(self):
        """The picture's bytes; see `Picture.bytes`."""
        return self.picture.bytes()

    def save(self, path):
        """Writes the picture to a file, or under ``TEMPLATE-TASKID.png`` in a folder; see `Picture.save`."""
        stem = f"{self.template}-{self.task_id}" if self.template else self.task_id
        return self.picture._save(path, stem)

    def image(self):
        """The picture as a PIL image; see `Picture.image`."""
        return self.picture.image()

    def to_dict(self):
        """It as a dict for JSON, with the keys of ``effects run --json``; costs are text."""
        return {
            "task_id": self.task_id,
            "template": self.template,
            "pictures": [picture.to_dict() for picture in self.pictures],
            **self.usage.to_dict(),
            "warning": self.warning and self.warning.to_dict(),
            "metadata": self.metadata,
            "elapsed": self.elapsed,
            **_exchange(self._response),
        }

    def __repr__(self):
        what = f" {self.template}" if self.template else ""
        cost = f", {self.usage.cost} USD" if self.usage.cost is not None else ""
        count = len(self.pictures)
        pictures = "1 picture" if count == 1 else f"{count} pictures"
        return _native.printable(f"<Effect{what} of task {self.task_id}: {pictures}{cost}>")

    def _repr_mimebundle_(self, include=None, exclude=None):
        from . import _display

        return _display.effect(self)

    def _repr_html_(self):
        return self._repr_mimebundle_()["text/html"]

    def _repr_png_(self):
        from . import _display

        return _display.png(self.pictures[0]) if self.pictures else None


def effect_of(facts, photo=None):
    """The effect out of the native half's facts; `photo` is the file that it was made of."""
    *known, response = facts
    return Effect(*known, photo, response)


def _record_of(kind, facts):
    # The native half gives tuples; a pickle, or a caller who makes one by hand, gives records.
    return facts if isinstance(facts, kind) else kind(*facts)


def _of_photo(picture, photo):
    """The picture, which knows the photo it was made of."""
    if photo is None or picture._photo is not None:
        return picture
    # A record is not changed, so it is made anew; `_photo` is the last of its fields.
    return Picture(*picture._facts()[:-1], photo=photo)


def _exchange(response):
    """The exchange that showed an effect or a task, with the keys of ``--json``."""
    if response is None:
        return {}
    status, request_id, headers = response
    known = {"status": status, "request_id": request_id, "headers": dict(headers)}
    return {"request_id": request_id, "response": known}


class TaskStatus(_Record):
    """What one look at a task showed.

    Attributes:
        task_id: the task.
        status: ``"queued"``, ``"in_progress"``, ``"completed"``, ``"failed"``, ``"cancelled"``,
            ``"expired"``, ``"rejected"``, or a word that is not known; ``None`` when the answer did not say.
        progress: how far it says it is, 0 to 1.
        pictures: the pictures with a usable URL.
        usage: what it cost.
        error: what the service says went wrong.
    """

    __slots__ = _fields = (
        "task_id",
        "status",
        "progress",
        "_created_at",
        "pictures",
        "usage",
        "error",
        "_metadata",
        "_raw",
        "_response",
    )

    def __init__(
        self, task_id, status, progress, created_at, pictures, usage, error, metadata, raw, response=None
    ):
        _set(self, "task_id", task_id)
        _set(self, "status", status)
        _set(self, "progress", progress)
        _set(self, "_created_at", created_at)
        _set(self, "pictures", tuple(_record_of(Picture, one) for one in pictures))
        _set(self, "usage", usage and _record_of(Usage, usage))
        _set(self, "error", error and _record_of(ServiceError, error))
        _set(self, "_metadata", metadata)
        _set(self, "_raw", raw)
        # The status, the name of the exchange and the headers.
        _set(self, "_response", response and (*response[:2], tuple(map(tuple, response[2]))))

    @property
    def request_id(self):
        """The service's name for the exchange that showed it, for its support; ``None`` if it gave none."""
        return self._response and self._response[1]

    @property
    def headers(self):
        """Of that answer, the headers by which it is found again, by their names in small letters."""
        return dict(self._response[2]) if self._response else {}

    @property
    def created_at(self):
        """When the service made it, as an aware `datetime.datetime`."""
        if self._created_at is None:
            return None
        # `datetime.UTC` is there only since Python 3.11.
        from datetime import datetime, timezone

        return datetime.fromtimestamp(self._created_at, timezone.utc)

    @property
    def metadata(self):
        """The service's own notes on the task."""
        return _json(self._metadata)

    @property
    def raw(self):
        """The whole answer of the service."""
        return _json(self._raw)

    def to_dict(self):
        """It as a dict for JSON: costs are text, `created_at` is seconds since the epoch."""
        return {
            "task_id": self.task_id,
            "status": self.status,
            "progress": self.progress,
            "created_at": self._created_at,
            "pictures": [picture.to_dict() for picture in self.pictures],
            "usage": self.usage and self.usage.to_dict(),
            "error": self.error and self.error.to_dict(),
            "metadata": self.metadata,
            **_exchange(self._response),
        }

    @property
    def done(self):
        """Whether no later look can show anything else."""
        # That `expired` and `rejected` are final is a guess: see docs/reference/service.md.
        return self.status in ("completed", "failed", "cancelled", "expired", "rejected")

    def __repr__(self):
        progress = "" if self.progress is None else f", {self.progress:.0%}"
        return _native.printable(f"<TaskStatus of task {self.task_id}: {self.status}{progress}>")

    def _repr_mimebundle_(self, include=None, exclude=None):
        from . import _display

        return _display.status(self)

    def _repr_html_(self):
        return self._repr_mimebundle_()["text/html"]


class Event(_Record):
    """What happens to a task while it is watched; ``str(event)`` says it in words.

    Attributes:
        kind: ``"submitted"``, ``"running"``, ``"retrying"``, ``"unknown_status"``, ``"warning"``,
            ``"second_task"``, or what later versions have to tell.
        text: it in words.
        details: what else is known of it, as a dict.
    """

    __slots__ = _fields = ("_details", "text")

    def __init__(self, details, text):
        _set(self, "_details", details)
        _set(self, "text", text)

    @property
    def details(self):
        """What else is known of it."""
        return _json(self._details)

    @property
    def kind(self):
        """What happened, in one word."""
        return self.details["event"]

    @property
    def task_id(self):
        """The task it is about, if there is one yet."""
        return self.details.get("task_id")

    @property
    def progress(self):
        """How far the task says it is, 0 to 1."""
        return self.details.get("progress")

    def __str__(self):
        return self.text

    def __repr__(self):
        return f"<Event {self.kind}: {self.text}>"
