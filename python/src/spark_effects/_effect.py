"""`Effect`: a completed task, with its `Picture` objects, its `Usage` and what is known of how it was made.
``run``, ``wait`` and the ``finish`` of events return it, results of ``map`` and ``as_completed`` hold it, and
``fetch`` and ``download`` take it; `effect_of`, and `_task.py` for a task, make it of what the native half
says. It saves and shows its pictures, and touches no network.
"""

from . import _native
from ._answer import ServiceError, Usage, exchange
from ._picture import Picture
from ._record import Record, json_value, record_of, set_field

__all__ = ["Effect"]


class Effect(Record):
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
        set_field(self, "task_id", task_id)
        set_field(self, "pictures", tuple(_of_photo(record_of(Picture, one), photo) for one in pictures))
        set_field(self, "usage", record_of(Usage, usage))
        set_field(self, "_metadata", metadata)
        set_field(self, "warning", warning and record_of(ServiceError, warning))
        set_field(self, "_raw", raw)
        set_field(self, "template", template)
        set_field(self, "elapsed", elapsed)
        set_field(self, "_photo", photo)
        # The status, the name of the exchange and the headers.
        set_field(self, "_response", response and (*response[:2], tuple(map(tuple, response[2]))))

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
        return json_value(self._metadata)

    @property
    def raw(self):
        """The whole answer of the service; empty where a journal alone tells of the effect."""
        return json_value(self._raw)

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
            **exchange(self._response),
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


def _of_photo(picture, photo):
    """The picture, which knows the photo it was made of."""
    if photo is None or picture._photo is not None:
        return picture
    # A record is not changed, so it is made anew; `_photo` is the last of its fields.
    return Picture(*picture._facts()[:-1], photo=photo)
