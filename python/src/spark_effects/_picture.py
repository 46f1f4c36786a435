"""`Picture`: one picture of a task, its link and its bytes if they were fetched, with what it takes to
save them as a file, show them in a notebook or open them with Pillow. Effects and task statuses hold
pictures: those of ``run``, ``wait`` and ``map`` have their bytes unless ``fetch=False``. ``client.fetch`` and
``client.download`` take a picture, and nothing here touches the network.
"""

import os

from . import _native
from ._record import Record, set_field
from ._values import path_text, refused

__all__ = ["Picture"]


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


def _format_of(data):
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


class Picture(Record):
    """One picture of an effect: its link, which expires, and its bytes if they were fetched.

    Attributes:
        task_id: the task that made it.
        url: where it is; the service does not say for how long.
        size: its length in bytes, if the service said.
        job_id: the service's "remote job ID".
    """

    __slots__ = _fields = ("task_id", "url", "size", "job_id", "_bytes", "_photo")

    def __init__(self, task_id, url, size=None, job_id=None, data=None, photo=None):
        set_field(self, "task_id", task_id)
        set_field(self, "url", url)
        set_field(self, "size", size)
        set_field(self, "job_id", job_id)
        set_field(self, "_bytes", data)
        # The file it was made of, which it must not replace.
        set_field(self, "_photo", photo)

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
        format = _format_of(data)
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
        data, format, number = self.bytes(), _format_of(self.bytes()), 1
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
        format = _format_of(self._bytes or b"")
        size = self.size if self._bytes is None else len(self._bytes)
        return {
            "url": self.url,
            "format": format and format.suffixes[0][1:],
            "bytes": size,
            "job_id": self.job_id,
        }

    def _media_type(self):
        format = _format_of(self._bytes or b"")
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
