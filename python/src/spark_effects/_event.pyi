"""`Event`: one thing that happens to a task while it is watched, in words and as a dict. ``events()`` of a
task yields them, ``on_event`` functions get them, `_progress.py` shows them, and a task in a notebook has its
last one; `_task.py`, `_observed_run.py` and `_hooks.py` make them of what the native half says.
"""

from typing import Any

from ._record import Record

__all__ = ["Event"]

class Event(Record):
    """What happens to a task while it is watched; ``str(event)`` says it in words.

    Attributes:
        kind: ``"submitted"``, ``"running"``, ``"retrying"``, ``"unknown_status"``, ``"warning"``,
            ``"second_task"``, or what later versions have to tell.
        text: it in words.
        details: what else is known of it, as a dict.
    """

    @property
    def text(self) -> str: ...
    def __init__(self, details: str, text: str) -> None: ...
    @property
    def details(self) -> dict[str, Any]:
        """What else is known of it."""
    @property
    def kind(self) -> str:
        """What happened, in one word."""
    @property
    def task_id(self) -> str | None:
        """The task it is about, if there is one yet."""
    @property
    def progress(self) -> float | None:
        """How far the task says it is, 0 to 1."""
