"""`started`: starts a native operation for the running event loop and returns the future of its result;
`_wait.py` calls it for the async client. `Mailroom`: one for each loop; it delivers the results that
arrived, many at one wake-up.
"""

import asyncio
import weakref

from . import _native

__all__ = ["started"]

# A room holds nothing of its loop, so that a loop which ended is let go of here, with its room.
_rooms = weakref.WeakKeyDictionary()


class Mailroom:
    """The `_native.Mailbox` of one event loop, which watches it."""

    __slots__ = ("box",)

    def __init__(self, loop):
        self.box = _native.Mailbox()
        loop.add_reader(self.box.fileno(), self._deliver)

    def _deliver(self):
        for future, result, error in self.box.take():
            # One that was cancelled waits for nothing any more.
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)


# The loop that was seen last, and its room: to find it in the dictionary takes longer than all else here.
_none = (lambda: None, None)
# One tuple for both: a thread that runs another loop must not find its loop with this one's room.
_latest = _none


def _room(loop):
    global _latest
    room = _rooms.get(loop)
    if room is None:
        room = _rooms[loop] = Mailroom(loop)
    # Forgotten with its loop: the room would keep its sockets open.
    _latest = (weakref.ref(loop, _forget), room)
    return room


def _forget(_):
    global _latest
    _latest = _none


def started(operation):
    """Starts an operation for the running loop; returns the future its result arrives in."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "AsyncClient needs a running asyncio event loop (uvloop, and anyio on asyncio, are fine); "
            "trio is not supported: use the blocking Client in a thread there"
        ) from None
    latest, room = _latest
    if latest() is not loop:
        room = _room(loop)
    future = loop.create_future()
    operation.start(room.box, future)
    return future
