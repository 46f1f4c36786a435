"""`Results` and `AsyncResults`: the iterators that ``map`` and ``as_completed`` of both clients return for
many jobs. They yield a `Result` for each, with its effect or its error, and `all` gives the rest as a
`ResultList`. These methods, made by `_plans.many`, call `start`, by which the native half draws and runs
the jobs. At the end of the process `__init__.py` stops the iterators still open.
"""

import weakref

from ._effect import effect_of
from ._job import Job, asked_for, job_row, jobs_of
from ._values import boolean, integer, money, number, own_state, path_text, refused, text
from ._wait import add_hint, awaited, check_alive, start_span, waited
from .errors import EffectsError

__all__ = ["AsyncResults", "Result", "ResultList", "Results", "start"]


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

    @property
    def cost(self):
        """What its task cost in USD, as a `decimal.Decimal`, also one that failed; ``None`` if no cost is
        known.
        """
        usage = (self.effect if self.error is None else self.error).usage
        return usage and usage.cost

    @property
    def request_id(self):
        """The name of the exchange that the end came with, for the service's support."""
        return self.effect.request_id if self.error is None else self.error.request_id

    def unwrap(self):
        """The effect; raises the error if there is none."""
        if self.error is not None:
            raise self.error
        return self.effect

    def to_dict(self):
        """It as a dict for JSON: the effect as `Effect.to_dict` tells it, the error with its words."""
        return {
            "index": self.index,
            "ok": self.ok,
            "effect": None if self.effect is None else self.effect.to_dict(),
            "error": None if self.error is None else self.error.to_dict(),
        }

    def __eq__(self, other):
        if type(other) is not type(self):
            return NotImplemented
        return (
            self.index == other.index
            and self.effect == other.effect
            and _same_error(self.error, other.error)
            and _same(self.job, other.job)
        )

    def __hash__(self):
        # Without the job: it may be a dict or hold an array, which have no hash.
        return hash((self.index, self.effect))

    def __reduce__(self):
        return (_result, (type(self), self.index, self.job, self.effect, self.error), own_state(self))

    def __repr__(self):
        return f"<Result {self.index}: {self.effect if self.ok else self.error!r}>"

    def _repr_mimebundle_(self, include=None, exclude=None):
        from . import _display

        return _display.results([self])

    def _repr_html_(self):
        return self._repr_mimebundle_()["text/html"]


def _result(kind, *facts):
    result = object.__new__(kind)
    Result.__init__(result, *facts)
    return result


def _same_error(one, other):
    """Whether two errors tell the same; as exceptions they differ."""
    return type(one) is type(other) and str(one) == str(other) and vars_of(one) == vars_of(other)


def vars_of(error):
    """What an error knows, without the notes of who saw it."""
    known = getattr(error, "__dict__", {})
    return {name: value for name, value in known.items() if name != "__notes__"}


def _same(one, other):
    """Whether two jobs are the same; arrays are compared by their bytes."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, Job):
        return _same(one._facts(), other._facts())
    # Two arrays compare to an array, which has no truth of its own.
    if hasattr(one, "tobytes") and hasattr(one, "shape"):
        return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()
    # A number that is none differs from itself.
    return one == other or (one != one and other != other)


class ResultList(list):
    """Results that show themselves as a grid in a notebook; a slice of it does, too."""

    def __getitem__(self, index):
        found = super().__getitem__(index)
        return ResultList(found) if isinstance(index, slice) else found

    def copy(self):
        """The same results in another list."""
        return ResultList(self)

    def to_pandas(self):
        """A pandas table with one row a result: its place, whether it is ok, what was asked for, the task,
        the cost as a `decimal.Decimal`, the link, and what went wrong.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ImportError as error:
            raise ImportError("to_pandas() needs pandas: pip install pandas") from error
        return DataFrame([_flat(result) for result in self], columns=_COLUMNS)

    def _repr_mimebundle_(self, include=None, exclude=None):
        from . import _display

        return _display.results(self)

    def _repr_html_(self):
        return self._repr_mimebundle_()["text/html"]


_COLUMNS = [
    *("index", "ok", "template", "key", "tag", "task_id"),
    *("cost", "elapsed", "url", "error", "code", "message"),
]


def _flat(result):
    """A result as a row of a table."""
    effect, error = result.effect, result.error
    template, key, tag = asked_for(result.job)
    picture = effect.pictures[0] if effect is not None and effect.pictures else None
    return {
        "index": result.index,
        "ok": result.ok,
        "template": (effect and effect.template) or template,
        "key": key,
        "tag": tag,
        "task_id": effect.task_id if effect is not None else error.task_id,
        "cost": result.cost,
        "elapsed": effect and effect.elapsed,
        "url": picture and picture.url,
        "error": error and type(error).__name__,
        "code": error and error.code,
        "message": error and str(error),
    }


# Stopped when the interpreter ends: the threads that draw their jobs must not ask for it then.
open_results = weakref.WeakSet()


class _ResultsBase:
    __slots__ = ("__weakref__", "_jobs", "_many", "_meter", "_over", "_span")

    def __init__(self, many, meter, jobs=None, span=None):
        # An async iterable of jobs, which is drawn in its event loop.
        self._jobs = jobs
        self._many = many
        self._meter = meter
        self._span = span
        self._over = False
        open_results.add(self)

    def stop(self):
        """Stops the watching: what was not submitted is not, and what is under way goes on.

        The results still to come tell what was known of each.
        """
        self._many.stop()
        self._draw_no_more()

    def _draw_no_more(self):
        if self._jobs is not None:
            self._jobs.close()

    def __repr__(self):
        return f"<{type(self).__name__}: iterate over them, or take all() that are still to come>"

    def _result_from(self, facts):
        if facts is None:
            self._over = True
            self._close()
            return None
        index, (job, photo), effect, error = facts
        # A task among the jobs learns of its end, as if it had been waited for.
        if hasattr(job, "_handle"):
            effect = job._ended_with(effect, error)
        else:
            effect = effect and effect_of(effect, photo)
        result = Result(index, job, effect, error)
        if self._meter is not None:
            self._meter.count(result)
        if self._span is not None:
            self._span.job(result)
        # Last: from here on the caller has it, so that another job may begin, and its task's id is not logged
        # any more.
        self._many.taken(index)
        return result

    def _close(self):
        if self._meter is not None:
            self._meter.close()
            # Closed once, though the end and `__del__` both come here.
            self._meter = None
        if self._span is not None:
            self._span.ended(None)
            self._span = None

    def _leave(self):
        """Stops the watching, since no result is taken any more; returns what the caller should know."""
        self._close()
        self._draw_no_more()
        return None if self._over else self._many.leave()

    def _lost(self, results):
        """Logs the tasks of results that were taken and reach no caller."""
        tasks = [result.effect.task_id if result.ok else result.error.task_id for result in results]
        self._many.lost([task for task in tasks if task is not None])

    def _leave_after(self, error):
        add_hint(error, self._leave())

    def __del__(self):
        # One that could not be made has nothing to leave.
        if hasattr(self, "_over"):
            self._leave()


class Results(_ResultsBase):
    """The results of many jobs, as an iterator. `stop`, `close`, which is the same, or letting go of it,
    stops the watching.

    Tasks that were paid for and whose results were not taken are then named in a warning of the logger
    ``"spark_effects"``, which Python prints on stderr where no handler is set.
    """

    __slots__ = ()

    def __iter__(self):
        return self

    # As a default, since the names of a module are gone at the end of the interpreter.
    def __next__(self, _check=check_alive):
        _check()
        try:
            result = self._result_from(waited(self._many.next()))
        except EffectsError:
            raise
        except BaseException as error:
            # Ctrl-C, or what the iterable of jobs raised: no result is taken any more.
            self._leave_after(error)
            raise
        if result is None:
            raise StopIteration
        return result

    def close(self):
        """Stops the watching, as `stop` does, also where that was done: for `contextlib.closing`."""
        self.stop()

    def all(self):
        """Every result still to come, as a list that shows itself as a grid in a notebook."""
        found = ResultList()
        try:
            # Not `extend`: the tasks of what came before an error are logged.
            for result in self:
                found.append(result)
        except BaseException:
            self._lost(found)
            raise
        return found


class AsyncResults(_ResultsBase):
    """The results of many jobs, as an async iterator. `stop`, `aclose`, which is the same, a cancellation, or
    letting go of it, stops the watching.

    Tasks that were paid for and whose results were not taken are then named in a warning of the logger
    ``"spark_effects"``, which Python prints on stderr where no handler is set.
    """

    __slots__ = ()

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            result = self._result_from(await awaited(self._many.next()))
        except EffectsError:
            raise
        except BaseException as error:
            self._leave_after(error)
            raise
        if result is None:
            raise StopAsyncIteration
        return result

    async def aclose(self):
        """Stops the watching, as `stop` does, also where that was done: for `contextlib.aclosing`."""
        self.stop()

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
    scope,
    journal,
    policy,
    fetch,
    progress,
    submissions,
    polls_per_second,
    unknown_in_a_row,
):
    """Begins many jobs; returns what the results are made of."""
    drawn = None
    if hasattr(jobs, "__aiter__") and not hasattr(jobs, "__iter__"):
        if not client._awaits:
            raise TypeError("the jobs are an async iterable: AsyncClient draws it; give Client a plain one")
        from ._async_jobs import AsyncJobs

        jobs = drawn = AsyncJobs(jobs)
    # Text, bytes and a dict are iterable too, and each part of them would be a job that fails.
    if isinstance(jobs, (str, bytes, dict, Job)) or jobs is None:
        raise TypeError(f"jobs is {type(jobs).__name__!r}: give a list of jobs, or another iterable")
    in_flight = integer("in_flight", in_flight, 1, _MAX_COUNT)
    ahead = in_flight - 1 if ahead is None else integer("ahead", ahead, 0, _MAX_COUNT)
    submissions = (
        min(4, in_flight) if submissions is None else integer("submissions", submissions, 1, _MAX_COUNT)
    )
    if polls_per_second is None:
        # The limit spares the service; an emulator of this process has nothing else to do than to answer.
        polls = 1000.0 if client._is_emulator_here() else 20.0
    else:
        polls = number("polls_per_second", polls_per_second, 1e-3, 1e6)
    progress = boolean("progress", progress)
    span = start_span("map" if ordered else "as_completed")
    total = len(jobs) if hasattr(jobs, "__len__") else None
    try:
        many = client._open.run_many(
            {
                # Drawn one by one by a thread of Rust, which has room for each before it asks for it.
                "rows": map(job_row, jobs_of(jobs)),
                "batch_limits": (submissions, in_flight, polls),
                "ahead": ahead,
                "unknown_in_a_row": integer("unknown_in_a_row", unknown_in_a_row, 1, _MAX_COUNT),
                "budget": money("budget", budget),
                "price": money("price", price),
                "scope": _scope(scope),
                "journal": path_text("journal", journal),
                "fetch": boolean("fetch", fetch),
                "ordered": ordered,
                "parent": span and span.context,
            },
            policy._native,
        )
    except BaseException as error:
        if span is not None:
            span.failed(error)
        raise
    meter = None
    if progress:
        from ._progress import Meter

        meter = Meter(total)
    return many, meter, drawn, span


def _scope(name):
    """The name of an order as text without blanks around it, or nothing."""
    name = text("scope", name)
    if name is not None and not name.strip():
        raise refused("scope", name, "give the order a name, or leave scope out")
    # With a blank beside it, it would be another order, with a budget of its own.
    return name and name.strip()


# The native half counts these in 32 bits.
_MAX_COUNT = 2**32 - 1
