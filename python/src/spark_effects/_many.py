"""Many jobs at once: drawn as room comes, yielded in the order of the jobs or as they end."""

import weakref

from ._effect import Effect
from ._image import photo_path
from ._plans import policy_or, wish
from ._values import _Value, money, number, place, switch, text, whole
from ._wait import annotate, awaited, misspelt, waited
from .errors import EffectsError

__all__ = ["AsyncResults", "Job", "Result", "ResultList", "Results", "start"]


class Job(_Value):
    """One picture of many: what is asked for, and what the journal knows it by.

    Args:
        template: a `Template`, or the exact id of one.
        image: the photo, in any form that `Client.run` takes.
        width: pixels across; 1328 when left out.
        height: pixels down; 1328 when left out.
        key: a name of your own for it, unique in the journal; needed where the image is a link that is
            signed anew each time.
        tag: a word to add costs up by.
    """

    __slots__ = _fields = ("template", "image", "width", "height", "key", "tag")

    def __init__(self, template, image, *, width=None, height=None, key=None, tag=None):
        self._set(template=template, image=image, width=width, height=height, key=key, tag=tag)

    def _row(self):
        asked = wish(self.template, self.image, self.width, self.height)
        return {"wish": asked, "key": text("key", self.key), "tag": text("tag", self.tag)}


class Result:
    """How one job of many ended: with an effect, or with an error.

    Attributes:
        index: the job's place among the jobs, from 0.
        job: the job, as it was given.
        effect: the `Effect`; ``None`` if there is none.
        error: the `EffectsError`; ``None`` if there is none.
    """

    __slots__ = ("effect", "error", "index", "job")

    def __init__(self, index, job, effect, error):
        self.index = index
        self.job = job
        self.effect = effect
        self.error = error

    @property
    def ok(self):
        """Whether there is an effect."""
        return self.error is None

    def unwrap(self):
        """The effect; raises the error if there is none."""
        if self.error is not None:
            raise self.error
        return self.effect

    def __reduce__(self):
        return (Result, (self.index, self.job, self.effect, self.error))

    def __repr__(self):
        return f"<Result {self.index}: {self.effect if self.ok else self.error!r}>"

    def _repr_mimebundle_(self, include=None, exclude=None):
        from . import _display

        return _display.results([self])


class ResultList(list):
    """Results that show themselves as a grid in a notebook."""

    def _repr_mimebundle_(self, include=None, exclude=None):
        from . import _display

        return _display.results(self)


# Stopped when the interpreter ends: the threads that draw their jobs must not ask for it then.
live = weakref.WeakSet()


class _ResultsBase:
    __slots__ = ("__weakref__", "_many", "_meter", "_over")

    def __init__(self, many, meter):
        self._many = many
        self._meter = meter
        self._over = False
        live.add(self)

    def stop(self):
        """Stops the watching: what was not submitted is not, and what is under way goes on.

        The results still to come tell what was known of each.
        """
        self._many.stop()

    def __repr__(self):
        return f"<{type(self).__name__}: iterate over them, or take all() that are still to come>"

    def _made(self, facts):
        if facts is None:
            self._over = True
            self._close()
            return None
        index, job, effect, error = facts
        self._many.taken(index)
        result = Result(index, job, effect and Effect(*effect, photo=_photo(job)), error)
        if self._meter is not None:
            self._meter.count(result)
        return result

    def _close(self):
        if self._meter is not None:
            self._meter.close()
            self._meter = None

    def _leave(self):
        """Stops the watching, since no result is taken any more; returns what the caller should know."""
        self._close()
        return None if self._over else self._many.leave()

    def _lost(self, results):
        """Tells the tasks of results that were taken and reach no caller."""
        tasks = [result.effect.task_id if result.ok else result.error.task_id for result in results]
        self._many.lost([task for task in tasks if task is not None])

    def _left(self, error):
        annotate(error, self._leave())

    def __del__(self):
        # One that could not be made has nothing to leave.
        if hasattr(self, "_over"):
            self._leave()


class Results(_ResultsBase):
    """The results of many jobs, as an iterator. `stop`, or letting go of it, stops the watching.

    Tasks that were paid for and whose results were not taken are then named in a warning of the logger
    ``"spark_effects"``, which Python prints on stderr where no handler is set.
    """

    __slots__ = ()

    def __iter__(self):
        return self

    def __next__(self):
        try:
            result = self._made(waited(self._many.next()))
        except EffectsError:
            raise
        except BaseException as error:
            self._left(error)
            raise
        if result is None:
            raise StopIteration
        return result

    def all(self):
        """Every result still to come, as a list that shows itself as a grid in a notebook."""
        found = ResultList()
        try:
            # Not `extend`: what came before an error is told.
            for result in self:
                found.append(result)
        except BaseException:
            self._lost(found)
            raise
        return found


class AsyncResults(_ResultsBase):
    """The results of many jobs, as an async iterator. `stop`, a cancellation, or letting go of it, stops the
    watching.

    Tasks that were paid for and whose results were not taken are then named in a warning of the logger
    ``"spark_effects"``, which Python prints on stderr where no handler is set.
    """

    __slots__ = ()

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            result = self._made(await awaited(self._many.next()))
        except EffectsError:
            raise
        except BaseException as error:
            self._left(error)
            raise
        if result is None:
            raise StopAsyncIteration
        return result

    async def all(self):
        """Every result still to come, as a list that shows itself as a grid in a notebook."""
        found = ResultList()
        try:
            async for result in self:
                found.append(result)
        except BaseException:
            self._lost(found)
            raise
        return found


def start(
    client,
    jobs,
    *,
    ordered,
    in_flight,
    ahead,
    budget,
    price,
    journal,
    policy,
    fetch,
    progress,
    submissions,
    polls_per_second,
    unknown_in_a_row,
):
    """Begins many jobs; returns what the results are made of."""
    if hasattr(jobs, "__aiter__") and not hasattr(jobs, "__iter__"):
        raise TypeError("the jobs are an async iterable: give a plain one, drawn from a thread of its own")
    if isinstance(jobs, (str, bytes, dict, Job)) or jobs is None:
        raise TypeError(f"jobs is {type(jobs).__name__!r}: give a list of jobs, or another iterable")
    in_flight = whole("in_flight", in_flight, 1, _MOST)
    ahead = in_flight - 1 if ahead is None else whole("ahead", ahead, 0, _MOST)
    submissions = min(4, in_flight) if submissions is None else whole("submissions", submissions, 1, _MOST)
    polls = 20.0 if polls_per_second is None else number("polls_per_second", polls_per_second, 1e-3, 1e6)
    progress = switch("progress", progress)
    many = client._engine.run_many(
        {
            "rows": map(_row, jobs),
            "widths": (submissions, in_flight, polls),
            "ahead": ahead,
            "unknown_in_a_row": whole("unknown_in_a_row", unknown_in_a_row, 1, _MOST),
            "budget": money("budget", budget),
            "price": money("price", price),
            "journal": place("journal", journal),
            "fetch": switch("fetch", fetch),
            "ordered": ordered,
        },
        policy_or(client._policy, policy)._native,
    )
    meter = None
    if progress:
        from ._progress import Meter

        meter = Meter(len(jobs) if hasattr(jobs, "__len__") else None)
    return many, meter


_MOST = 2**32 - 1


def _row(job):
    """The plain row of a job, which comes back with its end. What is no job ends as an error."""
    blank = {"job": job, "wish": None, "task": None, "key": None, "tag": None, "trouble": None}
    try:
        if hasattr(job, "_handle"):
            return {**blank, "task": job.id}
        return {**blank, **_job(job)._row()}
    except (TypeError, ValueError) as error:
        return {**blank, "trouble": str(error)}
    except Exception as error:
        # A photo that cannot be read, say. The others have nothing to do with it.
        return {**blank, "trouble": f"{type(error).__name__}: {error}"}


def _photo(job):
    """The file that the photo of a job came from, if it is known."""
    if hasattr(job, "_handle"):
        return job._photo
    if isinstance(job, (dict, Job)):
        return photo_path(job["image"] if isinstance(job, dict) else job.image)
    return photo_path(job[1])


def _job(job):
    if isinstance(job, Job):
        return job
    if isinstance(job, dict):
        try:
            return Job(**job)
        except TypeError as error:
            raise misspelt(error, Job, job) from None
    if isinstance(job, (tuple, list)) and len(job) == 2:
        return Job(*job)
    what = f"a {type(job).__name__} of {len(job)}" if isinstance(job, (tuple, list)) else type(job).__name__
    raise TypeError(f"a job is {what!r}: give a Job, a (template, image) pair, a dict, or a task")
