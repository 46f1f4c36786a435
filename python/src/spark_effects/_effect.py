"""What a completed task yields, and what one look at a task shows."""

import os

from . import _native
from ._values import place, refused

__all__ = ["Effect", "Event", "Picture", "ServiceError", "TaskStatus", "Usage"]


def _json(text):
    if text is None:
        return None
    import json

    return json.loads(text)


class _Record:
    """Equality, pickling and immutability out of slots."""

    __slots__ = ()

    def _facts(self):
        return tuple(getattr(self, name) for name in self.__slots__)

    def __setattr__(self, name, value):
        raise AttributeError(f"{type(self).__name__} is a record and keeps its {name}")

    def __delattr__(self, name):
        raise AttributeError(f"{type(self).__name__} is a record and keeps its {name}")

    def __eq__(self, other):
        if type(other) is not type(self):
            return NotImplemented
        return self._facts() == other._facts()

    def __hash__(self):
        return hash(self._facts())

    def __reduce__(self):
        return (type(self), self._facts())


_set = object.__setattr__


class Usage(_Record):
    """What a task cost.

    Attributes:
        unreadable_cost: what the service sent for a cost that is no number from 0 to 10 000; then
            `cost` is ``None``.
    """

    __slots__ = ("_cost", "_discount", "unreadable_cost")

    def __init__(self, cost=None, discount=None, unreadable_cost=None):
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

    __slots__ = ("code", "message")

    def __init__(self, code, message):
        _set(self, "code", code)
        _set(self, "message", message)

    def __str__(self):
        words = self.message or "no reason given"
        return _native.printable(f"{words} ({self.code})" if self.code else words)

    def __repr__(self):
        return f"ServiceError(code={self.code!r}, message={self.message!r})"


class Picture(_Record):
    """One picture of an effect: its link, which expires, and its bytes if they were fetched.

    Attributes:
        task_id: the task that made it.
        url: where it is; the service does not say for how long.
        size: its length in bytes, if the service said.
        job_id: the service's "remote job ID".
    """

    __slots__ = ("task_id", "url", "size", "job_id", "_bytes", "_photo")

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

        A device or a pipe is written to, and a symbolic link stays one.

        Raises:
            ValueError: they were not fetched: use ``client.download(picture, path)``.
            InvalidRequest: the path is the photo that the picture was made of.
            OSError: the file cannot be written.
        """
        data = self.bytes()
        if path is None:
            raise TypeError("path is None: give a path, as text or a Path")
        target = self._place(path)
        _native.write_file(target, data)
        return target

    def _place(self, path):
        """A path as text, unless it leads to the photo that the picture was made of."""
        target = place("path", path)
        try:
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
        image.load()
        return image

    def _media_type(self):
        data = self._bytes or b""
        if data.startswith(b"\x89PNG"):
            return "image/png"
        if data.startswith(b"\xff\xd8\xff"):
            return "image/jpeg"
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return "image/webp"
        return None

    def __repr__(self):
        state = f"{len(self._bytes)} bytes" if self.fetched else "not fetched"
        return _native.printable(f"<Picture of task {self.task_id}: {self.url}, {state}>")


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
        elapsed: seconds from the request, or from the beginning of the wait, to the picture.
    """

    __slots__ = (
        "task_id",
        "pictures",
        "usage",
        "_metadata",
        "warning",
        "_raw",
        "template",
        "elapsed",
        "_photo",
    )

    def __init__(self, task_id, pictures, usage, metadata, warning, raw, template, elapsed, photo=None):
        _set(self, "task_id", task_id)
        _set(self, "pictures", tuple(_of_photo(_made(Picture, one), photo) for one in pictures))
        _set(self, "usage", _made(Usage, usage))
        _set(self, "_metadata", metadata)
        _set(self, "warning", warning and _made(ServiceError, warning))
        _set(self, "_raw", raw)
        _set(self, "template", template)
        _set(self, "elapsed", elapsed)
        _set(self, "_photo", photo)

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
        """Writes the picture to a file; see `Picture.save`."""
        return self.picture.save(path)

    def image(self):
        """The picture as a PIL image; see `Picture.image`."""
        return self.picture.image()

    def __repr__(self):
        what = f" {self.template}" if self.template else ""
        cost = f", {self.usage.cost} USD" if self.usage.cost is not None else ""
        count = len(self.pictures)
        pictures = "1 picture" if count == 1 else f"{count} pictures"
        return _native.printable(f"<Effect{what} of task {self.task_id}: {pictures}{cost}>")

    def _repr_mimebundle_(self, include=None, exclude=None):
        from . import _display

        return _display.effect(self)


def _made(kind, facts):
    return facts if isinstance(facts, kind) else kind(*facts)


def _of_photo(picture, photo):
    """The picture, which knows the photo it was made of."""
    if photo is None or picture._photo is not None:
        return picture
    return Picture(*picture._facts()[:-1], photo=photo)


class TaskStatus(_Record):
    """What one look at a task showed.

    Attributes:
        task_id: the task.
        status: ``"queued"``, ``"in_progress"``, ``"completed"``, ``"failed"``, ``"cancelled"``, or a
            word nobody has met yet; ``None`` when the answer did not say.
        progress: how far it says it is, 0 to 1.
        pictures: the pictures with a usable URL.
        usage: what it cost.
        error: what the service says went wrong.
    """

    __slots__ = (
        "task_id",
        "status",
        "progress",
        "_created_at",
        "pictures",
        "usage",
        "error",
        "_metadata",
        "_raw",
    )

    def __init__(self, task_id, status, progress, created_at, pictures, usage, error, metadata, raw):
        _set(self, "task_id", task_id)
        _set(self, "status", status)
        _set(self, "progress", progress)
        _set(self, "_created_at", created_at)
        _set(self, "pictures", tuple(_made(Picture, one) for one in pictures))
        _set(self, "usage", usage and _made(Usage, usage))
        _set(self, "error", error and _made(ServiceError, error))
        _set(self, "_metadata", metadata)
        _set(self, "_raw", raw)

    @property
    def created_at(self):
        """When the service made it, as an aware `datetime.datetime`."""
        if self._created_at is None:
            return None
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

    @property
    def done(self):
        """Whether no later look can show anything else."""
        return self.status in ("completed", "failed", "cancelled")

    def __repr__(self):
        progress = "" if self.progress is None else f", {self.progress:.0%}"
        return _native.printable(f"<TaskStatus of task {self.task_id}: {self.status}{progress}>")


class Event(_Record):
    """Something to tell whoever watches a task; ``str(event)`` says it in words.

    Attributes:
        kind: ``"submitted"``, ``"running"``, ``"retrying"``, ``"unknown_status"``, ``"warning"``,
            ``"second_task"``, or what later versions have to tell.
        text: it in words.
        details: what else is known of it, as a dict.
    """

    __slots__ = ("_details", "text")

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
