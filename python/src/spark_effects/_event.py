"""`Event`: one thing that happens to a task while it is watched, in words and as a dict. ``events()`` of a
task yields them, ``on_event`` functions get them, `_progress.py` shows them, and a task in a notebook has its
last one; `_task.py`, `_observed_run.py` and `_hooks.py` make them of what the native half says.
"""

from ._record import Record, json_value, set_field

__all__ = ["Event"]


class Event(Record):
    """What happens to a task while it is watched; ``str(event)`` says it in words.

    Attributes:
        kind: ``"submitted"``, ``"running"``, ``"retrying"``, ``"unknown_status"``, ``"warning"``,
            ``"second_task"``, or what later versions have to tell.
        text: it in words.
        details: what else is known of it, as a dict.
    """

    __slots__ = _fields = ("_details", "text")

    def __init__(self, details, text):
        set_field(self, "_details", details)
        set_field(self, "text", text)

    @property
    def details(self):
        """What else is known of it."""
        return json_value(self._details)

    @property
    def kind(self):
        """What happened, in one word."""
        return self.details["event"]

    @property
    def task_id(self):
        """The task it is about, if there is one yet."""
        return self.details.get("task_id")

    @property
    def progress(self):
        """How far the task says it is, 0 to 1."""
        return self.details.get("progress")

    def __str__(self):
        return self.text

    def __repr__(self):
        return f"<Event {self.kind}: {self.text}>"
