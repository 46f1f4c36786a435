"""How results reach an event loop: one box a loop, many results at one wake-up."""

import asyncio
import weakref

from . import _native

__all__ = ["mailroom"]

_rooms = weakref.WeakKeyDictionary()


class Mailroom:
    """The box of one event loop, and the futures that wait for what arrives in it."""

    __slots__ = ("_count", "_futures", "box")

    def __init__(self, loop):
        self.box = _native.Mailbox()
        self._futures = {}
        self._count = 0
        loop.add_reader(self.box.fileno(), self._deliver)

    def expect(self, loop):
        """A number to send a result under, and the future it arrives in."""
        self._count += 1
        future = loop.create_future()
        self._futures[self._count] = future
        return self._count, future

    def forget(self, number):
        """Nobody waits for this result any more."""
        self._futures.pop(number, None)

    def _deliver(self):
        for number, result, error in self.box.take():
            future = self._futures.pop(number, None)
            if future is None or future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)


def mailroom():
    """The running loop and its box."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "AsyncClient needs a running asyncio event loop (uvloop, and anyio on asyncio, are fine); "
            "trio is not supported: use the blocking Client in a thread there"
        ) from None
    room = _rooms.get(loop)
    if room is None:
        room = _rooms[loop] = Mailroom(loop)
    return loop, room
