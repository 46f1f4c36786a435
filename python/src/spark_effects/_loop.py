"""`started`: starts a native operation for the running event loop and returns the future of its result;
`_wait.py` calls it for the async client. `LoopCompletions`, one for each loop, sets the futures' results,
of all operations that have finished at one wake-up of the loop. At the end of the process `__init__.py` calls
`leave_ended`.
"""

import asyncio
import contextlib
import os
import weakref

from . import _native

__all__ = ["leave_ended", "started"]

# A value holds nothing of its loop, so that a loop which ended is let go of here, with its queue.
_by_loop = weakref.WeakKeyDictionary()


class LoopCompletions:
    """The `_native.CompletionQueue` of one event loop, which watches it."""

    __slots__ = ("process", "queue")

    def __init__(self, loop):
        self.process = os.getpid()
        self.queue = _native.CompletionQueue()
        loop.add_reader(self.queue.fileno(), self._deliver)

    def _deliver(self):
        for future, result, error in self.queue.take():
            # One that was cancelled waits for nothing any more.
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)


# The loop that was seen last, with its value: a look into the dictionary takes longer than all else here.
_none = (lambda: None, None)
# One tuple for both: a thread that runs another loop must not find its loop with this one's queue.
_latest = _none


def _completions_of(loop):
    global _latest
    completions = _by_loop.get(loop)
    if completions is None:
        completions = _by_loop[loop] = LoopCompletions(loop)
    # Forgotten with its loop: the queue would keep its sockets open.
    _latest = (weakref.ref(loop, _forget), completions)
    return completions


def _forget(_):
    global _latest
    _latest = _none


def leave_ended():
    """Ends what still waits in loops that run no more, which logs the ids of its tasks."""
    for loop, completions in list(_by_loop.items()):
        # A fork has its parent's loops, and what waits in them is the parent's.
        if completions.process == os.getpid() and not loop.is_running():
            for task in asyncio.all_tasks(loop):
                # Whatever its code does about it, the others are left, too.
                with contextlib.suppress(Exception):
                    task.get_coro().close()


def started(operation):
    """Starts an operation for the running loop; returns the future its result arrives in."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "AsyncClient needs a running asyncio event loop (uvloop, and anyio on asyncio, are fine); "
            "trio is not supported: use the blocking Client in a thread there"
        ) from None
    latest, completions = _latest
    if latest() is not loop:
        completions = _completions_of(loop)
    future = loop.create_future()
    operation.start(completions.queue, future)
    return future
