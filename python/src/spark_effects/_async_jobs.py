"""`AsyncJobs`: a plain iterator over an async iterable of jobs: it draws each job in the event loop when
the native half (``row_source.rs``) asks for one on its own thread. `_many.start` makes one where
`AsyncClient` is given an async iterable.
"""

import asyncio
import concurrent.futures

__all__ = ["AsyncJobs"]

_END = object()


class AsyncJobs:
    """Draws in the event loop, one job when one is asked for; `close` ends it."""

    def __init__(self, jobs):
        # An async generator belongs to one loop: that of the call.
        self._loop = asyncio.get_running_loop()
        self._jobs = jobs.__aiter__()
        self._pending = None
        self._closed = False

    def __iter__(self):
        return self

    def __next__(self):
        coroutine = self._next()
        try:
            self._pending = pending = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:
            # The loop is closed.
            coroutine.close()
            raise StopIteration from None
        # `close` sets the flag before it cancels, and this asks after the future is kept: one of the two
        # cancels it, whichever thread comes first.
        if self._closed:
            pending.cancel()
        while True:
            try:
                # With a timeout, to see a loop that was closed before it ran the coroutine.
                job = pending.result(timeout=1)
            except concurrent.futures.TimeoutError:
                if pending.done():
                    # The iterable's own.
                    raise
                # A loop that has ended answers no more.
                if self._loop.is_closed():
                    raise StopIteration from None
            except concurrent.futures.CancelledError:
                # `close` cancels it, and so does a loop that ends.
                if self._closed or self._loop.is_closed():
                    raise StopIteration from None
                # The iterable's own, which must not look like its end.
                raise asyncio.CancelledError("the async iterable of jobs was cancelled") from None
            else:
                if job is _END:
                    raise StopIteration
                return job

    async def _next(self):
        # A future holds no `StopAsyncIteration`.
        try:
            return await self._jobs.__anext__()
        except StopAsyncIteration:
            return _END

    def close(self):
        """No more jobs are wanted."""
        self._closed = True
        if self._pending is not None:
            self._pending.cancel()
