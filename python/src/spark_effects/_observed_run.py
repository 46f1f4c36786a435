"""`ObservedRun`: one run of either client that passes each event, as it comes, to the caller's ``on_event``
function and to a progress display, and ends with the effect. `_plans.py` makes one for ``run(on_event=)``
and ``run(progress=True)``; `_wait.py` waits for it, blocking or with await.
"""

from ._event import Event
from ._wait import MultiStepOperation, add_hint, awaited, waited

__all__ = ["ObservedRun"]


class ObservedRun(MultiStepOperation):
    """One run of either client: the events of its stream go to `on_event` and to `meter`."""

    __slots__ = ("_fetch", "_meter", "_on_event", "_parent", "_stream")

    def __init__(self, stream, fetch, on_event, meter):
        self._stream = stream
        self._fetch = fetch
        self._on_event = on_event
        self._meter = meter
        self._parent = None

    def trace(self, parent):
        """Puts the spans of its exchanges under this context."""
        self._parent = parent

    def _next(self):
        step = self._stream.next()
        if self._parent is not None:
            # Each step is an operation of its own, and all of them belong to one call.
            step.trace(self._parent)
        return step

    def wait(self):
        """Goes to the end of the run; returns what an effect is made of."""
        try:
            while (facts := waited(self._next())) is not None:
                self._report(*facts)
            return self._done(waited(self._stream.finish(self._fetch)))
        finally:
            self._close()

    async def awaited(self):
        """The same, awaited; so is `on_event`, if it is a coroutine function."""
        try:
            while (facts := await awaited(self._next())) is not None:
                coming = self._report(*facts)
                if hasattr(coming, "__await__"):
                    try:
                        await coming
                    except BaseException as error:
                        self._leave(error)
                        raise
            return self._done(await awaited(self._stream.finish(self._fetch)))
        finally:
            self._close()

    def _report(self, details, text, _last):
        event = Event(details, text)
        if self._meter is not None:
            self._meter.show(event)
        if self._on_event is None:
            return None
        try:
            return self._on_event(event)
        except BaseException as error:
            self._leave(error)
            raise

    def _leave(self, error):
        """Stops the watching, for an error of `on_event`."""
        # It never starts. It has the run's note: `cancel` logs the task's id, and `hint` says how to
        # resume.
        step = self._stream.next()
        step.cancel()
        add_hint(error, step.hint())

    def _done(self, facts):
        if self._meter is not None:
            self._meter.done()
        return facts

    def _close(self):
        if self._meter is not None:
            self._meter.close()
