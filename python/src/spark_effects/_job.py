"""`Job`: one picture to make, of the many that a program gives to ``map`` or ``as_completed``; a tuple, a
dict, a row of a table or a task is a job, too. `_many.start` reads them with `jobs_of`, which turns a table
into its rows (`TableRow`), and `job_row`, which turns each job into plain values for the native half.
"""

from ._image import photo_path
from ._request import plain_request
from ._values import _Value, log, text
from ._wait import constructor, misspelt

__all__ = ["Job", "asked_for", "job_row", "jobs_of"]


class Job(_Value):
    """One picture of many: what is asked for, and what the journal knows it by.

    A side may be a whole float, such as ``1024.0``; NaN, ``pandas.NA`` and ``None`` are left out.

    Args:
        template: a `Template`, or the exact id of one.
        image: the photo, in any form that `Client.run` takes.
        width: pixels across; 1328 when left out.
        height: pixels down; 1328 when left out.
        key: a name of your own for it, unique in the journal; needed where the image is a link that is
            signed anew each time.
        tag: a word to add costs up by.
        extra: parameters that this library does not know, for the service: ``{"seed": 3}``. They tell a
            job from another.
    """

    __slots__ = _fields = ("template", "image", "width", "height", "key", "tag", "extra")

    @constructor
    def __init__(self, template, image, *, width=None, height=None, key=None, tag=None, extra=None):
        # Checked only when it is drawn, so that a bad job is a result with an error and stops no other.
        self._set(template=template, image=image, width=width, height=height, key=key, tag=tag, extra=extra)

    def _row(self):
        template, image, width, height, key, tag, extra = map(_present, self._facts())
        asked = plain_request(template, image, _side(width), _side(height), extra)
        return {"request": asked, "key": text("key", key), "tag": text("tag", tag)}


class TableRow(dict):
    """A row of a table with its job; columns that say nothing of the job come back with it."""

    __slots__ = ("job",)

    def __init__(self, row, columns=None):
        super().__init__(row)
        columns = _columns(row) if columns is None else columns
        facts = {field: _cell(field, row[column]) for field, column in columns.items()}
        for field in ("template", "image"):
            if field not in facts:
                raise TypeError(f"the row has no {field!r}: its columns are {', '.join(map(str, row))}")
        self.job = Job(**facts)

    def __reduce__(self):
        return (TableRow, (dict(self),))


def jobs_of(jobs):
    """The jobs of an iterable; a pandas or polars table gives its rows."""
    # By what they can do, so that neither library is imported for it.
    if hasattr(jobs, "iter_rows") and hasattr(jobs, "columns"):
        rows = jobs.iter_rows(named=True)
    elif hasattr(jobs, "itertuples") and hasattr(jobs, "columns"):
        names = list(jobs.columns)
        # As plain tuples: named ones rename columns that are no identifiers.
        rows = (dict(zip(names, row, strict=True)) for row in jobs.itertuples(index=False, name=None))
    else:
        return jobs
    columns = _columns(jobs.columns)
    missing = [field for field in ("template", "image") if field not in columns]
    if missing:
        raise TypeError(f"the table has no column {missing[0]!r}: it has {', '.join(map(str, jobs.columns))}")
    _warn_of_sides(jobs.columns, columns)
    return (TableRow(row, columns) for row in rows)


def job_row(job):
    """The plain row of a job. The job comes back with its end, and with the file that its photo came from, if
    that is known: it is found now, since neither the job nor the folder need be the same then. What is no job
    ends as an error.
    """
    blank = {"job": (job, None), "request": None, "task": None, "key": None, "tag": None, "error": None}
    try:
        if hasattr(job, "_handle"):
            return {**blank, "job": (job, job._photo), "task": job.id}
        asked = _job(job)
        return {**blank, **asked._row(), "job": (job, photo_path(asked.image))}
    except (TypeError, ValueError) as error:
        return {**blank, "error": str(error)}
    except Exception as error:
        # A photo that cannot be read, say. The others have nothing to do with it.
        return {**blank, "error": f"{type(error).__name__}: {error}"}


def asked_for(job):
    """The template, the key and the tag of a job, as text; what it does not say is ``None``."""
    if hasattr(job, "_handle"):
        return (job.template, None, None)
    try:
        job = _job(job)
    # What is no job has ended with an error, which says so.
    except TypeError:
        return (None, None, None)
    said = map(_present, (job.template, job.key, job.tag))
    return tuple(None if one is None else str(one) for one in said)


def _job(job):
    if isinstance(job, Job):
        return job
    if isinstance(job, TableRow):
        return job.job
    if isinstance(job, dict):
        try:
            return Job(**job)
        except TypeError as error:
            raise misspelt(error, Job, job) from None
    if _is_series(job):
        return TableRow(job.to_dict()).job
    if isinstance(job, (tuple, list)):
        # A named tuple, as `itertuples` of a pandas table gives by itself.
        if hasattr(job, "_asdict"):
            return TableRow(job._asdict()).job
        if len(job) == 2:
            # `iterrows` pairs each row with its index.
            return TableRow(job[1].to_dict()).job if _is_series(job[1]) else Job(*job)
        raise _not_a_job(f"a {type(job).__name__} of {len(job)}")
    raise _not_a_job(type(job).__name__)


def _not_a_job(what):
    return TypeError(
        f"a job is {what!r}: give a Job, a (template, image) pair, a dict, a row of a table, or a task"
    )


def _is_series(thing):
    """Whether it is a row of a pandas table."""
    return hasattr(thing, "to_dict") and hasattr(thing, "index") and hasattr(thing, "dtype")


def _columns(names):
    """Which column tells what of a job. A name may have blanks around it and capitals."""
    columns = {}
    for name in names:
        field = str(name).strip().lower()
        if field in Job._fields:
            if field in columns:
                raise TypeError(
                    f"the columns {columns[field]!r} and {name!r} both tell the {field}: drop one"
                )
            columns[field] = name
    for name in names:
        # A misspelt column would be passed over, and the pictures paid for at the default size, say.
        near = _near(str(name).strip().lower(), columns)
        if near is not None:
            raise TypeError(f"the column {name!r} looks like {near!r}: rename it to that, or drop it")
    return columns


def _near(name, columns):
    import difflib

    left = [field for field in Job._fields if field not in columns]
    near = difflib.get_close_matches(name, left, n=1, cutoff=0.8)
    return near[0] if near and name not in columns else None


def _warn_of_sides(names, columns):
    """Warns of columns that may be meant as a side that the table does not have. Their names are too far
    from the side's to be refused, and the pictures are paid for at the default size."""
    import re

    left = [side for side in ("width", "height") if side not in columns]
    for name in names if left else ():
        # `pixelHeight` is two words, too.
        words = re.findall("[A-Z]?[a-z]+|[A-Z]+", str(name))
        words = {word.lower() for word in words}
        for side in left:
            if words & _SIDE_WORDS[side]:
                log().warning(
                    "the column %r is not read, and the %s is the default of 1328: did you mean %r?",
                    name,
                    side,
                    side,
                )


_SIDE_WORDS = {"width": {"width", "wide", "w"}, "height": {"height", "high", "h"}}


def _cell(field, value):
    """A cell of a table: numbers may be keys and tags."""
    value = _present(value)
    if field in ("key", "tag") and not (value is None or isinstance(value, str)):
        value = str(_side(value))
    return value


def _present(value):
    """The value, or ``None`` where a table says that there is none."""
    kind = type(value)
    # By their names, so that pandas is not imported for it.
    if kind.__name__ in ("NAType", "NaTType"):
        return None
    # NaN alone differs from itself. One of numpy has a shape, too, but an empty one; an array is no number.
    is_number = hasattr(kind, "__float__") and getattr(value, "shape", ()) == ()
    return None if is_number and value != value else value


def _side(value):
    """A side; tables make floats of whole numbers where one is missing."""
    is_float = hasattr(type(value), "is_integer") and not hasattr(type(value), "__index__")
    return int(value) if is_float and value.is_integer() else value
