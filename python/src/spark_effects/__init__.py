"""The public names of the package. `Client` and `AsyncClient` make styled pictures out of photos, by the
paid web API ``spark_img_effects``; `Emulator` answers as that API does, on this machine and at no cost. A
program that ends waits for submissions under way, and journals are closed while a process is forked.

>>> from spark_effects import Client, Emulator
>>> with Emulator() as emulator:  # no key, no network, no bill
...     effect = emulator.client().run("glass_ball", "examples/chelsea.png", width=512, height=512)
>>> effect.bytes()[:4]
b'\\x89PNG'
"""

# What users import, above all `Client` and `AsyncClient`. At the end of the process it waits for
# submissions under way; around a fork it closes the journals and opens them again.

import atexit as _atexit
import os as _os
import sys as _sys

from . import _annotations, _native, errors
from ._answer import ServiceError, TaskStatus, Usage
from ._client import AsyncClient, Client
from ._effect import Effect
from ._emulator import Emulator, SeenRequest
from ._event import Event
from ._hooks import ExchangeRequest, ExchangeResponse
from ._job import Job
from ._many import AsyncResults, Result, ResultList, Results
from ._many import open_results as _open_results
from ._picture import Picture
from ._task import AsyncEvents, AsyncTask, Events, Task
from ._templates import Template, UnlistedTemplate, templates
from ._values import Backoff, Pace, Policy
from .errors import (
    AuthError,
    BudgetExceeded,
    DeadlineExceeded,
    EffectsError,
    InvalidRequest,
    OutcomeUnknown,
    OutOfCredit,
    RateLimited,
    TaskFailed,
    TaskNotFound,
    TransportError,
    UnreadableAnswer,
    Violation,
    WaitTimeout,
)

__all__ = [
    "AsyncClient",
    "AsyncEvents",
    "AsyncResults",
    "AsyncTask",
    "AuthError",
    "Backoff",
    "BudgetExceeded",
    "Client",
    "DeadlineExceeded",
    "Effect",
    "EffectsError",
    "Emulator",
    "Event",
    "Events",
    "ExchangeRequest",
    "ExchangeResponse",
    "InvalidRequest",
    "Job",
    "OutOfCredit",
    "OutcomeUnknown",
    "Pace",
    "Picture",
    "Policy",
    "RateLimited",
    "Result",
    "ResultList",
    "Results",
    "SeenRequest",
    "ServiceError",
    "Task",
    "TaskFailed",
    "TaskNotFound",
    "TaskStatus",
    "Template",
    "TransportError",
    "UnlistedTemplate",
    "UnreadableAnswer",
    "Usage",
    "Violation",
    "WaitTimeout",
    "errors",
    "templates",
]

__version__ = _native.__version__


def _finish():
    # First: no more jobs may begin while the submissions under way are awaited.
    for results in list(_open_results):
        results._leave()
    # Only the async client has imported it.
    loops = _sys.modules.get("spark_effects._loop")
    if loops is not None:
        loops.leave_ended()
    # A submission under way is never cut off: its task may be billed, and its id would be lost.
    try:
        _native.wait_for_submissions(60.0)
    except KeyboardInterrupt:
        left = _native.submissions_under_way()
        word = "1 submission" if left == 1 else f"{left} submissions"
        _native.warn(f"{word} left without an answer: the task may exist and may be billed")


def _finish_child(_):
    """Has this child of `multiprocessing`, whose end does not run `atexit`, finish as well."""
    util = _sys.modules["multiprocessing.util"]
    util.Finalize(None, _finish_after_threads, exitpriority=-100)


def _finish_after_threads():
    import threading

    # As at the end of any process; `multiprocessing` itself would wait for them only after this.
    threading._shutdown()
    _finish()


def _watch_multiprocessing():
    """Sees to it that children of `multiprocessing` finish, where the program has imported that."""
    util = _sys.modules.get("multiprocessing.util")
    if util is None:
        return
    # A child forgets its parent's finalizers first, and then calls this.
    if not _watched:
        _watched.append(util)
        util.register_after_fork(_finish, _finish_child)
    # In a child that has begun, as where it imports this package by itself.
    if _sys.modules["multiprocessing.process"].parent_process() is not None:
        _finish_child(None)


_watched = []


# Here, where everything public is defined: its functions find their annotations from now on.
for _name in __all__:
    _thing = globals()[_name]
    if callable(_thing):
        _annotations.attach_annotations(_thing)
del _name, _thing

_atexit.register(_finish)
_watch_multiprocessing()
# SQLite knows of a file's locks by process, so no journal may be open while the process is forked. A
# submission under way is the parent's: the child waits for none.
if hasattr(_os, "register_at_fork"):
    _os.register_at_fork(
        before=_native.close_journals,
        after_in_parent=_native.reopen_journals,
        after_in_child=_native.forget_submissions,
    )
    _os.register_at_fork(after_in_child=_watch_multiprocessing)
