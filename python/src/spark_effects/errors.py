"""`EffectsError` and its subclasses: the errors that both clients raise and that results of many jobs
hold. `Violation`: one rule that a request breaks; an `InvalidRequest` has them, and ``check`` of both
clients returns them as a `ViolationList`. The native half makes its errors with `make`;
`_values.refused` makes those of bad options.

Every error after a submission carries the id of its task, where that is known, so that nothing that was
paid for is lost.
All of them pickle.
"""

import builtins as _builtins

__all__ = [
    "AuthError",
    "BudgetExceeded",
    "DeadlineExceeded",
    "EffectsError",
    "InvalidRequest",
    "OutOfCredit",
    "OutcomeUnknown",
    "RateLimited",
    "TaskFailed",
    "TaskNotFound",
    "TransportError",
    "UnreadableAnswer",
    "Violation",
    "ViolationList",
    "WaitTimeout",
]


class EffectsError(Exception):
    """Anything that went wrong with an effect.

    It is raised itself where no narrower class fits: a journal that cannot be written, say.

    Attributes:
        kind: what went wrong, in one word of the command's JSON, such as ``"key_refused"``.
        code: the service's code, such as ``"3009003"``.
        task_id: the task it is about; known for every error after a submission was answered.
        status: the HTTP status of the answer it is about.
        retry_after: seconds the service asked to wait.
        request_id: the name of the exchange, for the service's support.
        headers: of the answer it is about, those by which it is found again, by their names in small letters.
        body: the beginning of an answer that is no usable task: at most 2 KiB, without the key.
        resume_line: the command that resumes the task, where there is one to resume.
        usage: the bill of its task, as a `Usage`, where one is known: a task that failed may have one, and
            so has one whose picture could not be fetched.
    """

    def __init__(
        self,
        message="",
        *,
        kind=None,
        code=None,
        task_id=None,
        status=None,
        retry_after=None,
        request_id=None,
        resume_line=None,
        headers=None,
        body=None,
        usage=None,
    ):
        # All options have defaults: an exception is unpickled from its positional arguments, and gets the
        # rest as attributes.
        super().__init__(message)
        self.kind = kind
        self.code = code
        self.task_id = task_id
        self.status = status
        self.retry_after = retry_after
        self.request_id = request_id
        self.resume_line = resume_line
        self.headers = {} if headers is None else headers
        self.body = body
        self.usage = usage

    def to_dict(self):
        """It as a dict for JSON: its class, its words, and what it knows."""
        known = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        known.pop("violations", None)
        known["usage"] = self.usage and self.usage.to_dict()
        return {"error": type(self).__name__, "message": str(self), **known}


class InvalidRequest(EffectsError, ValueError):
    """The request or an option is bad, or the service refused it. Nothing is billed.

    It is a ``ValueError`` too, so that options are refused in one way.

    Attributes:
        violations: every rule that is broken, as `Violation` objects; empty where the service said no.
    """

    def __init__(self, message="", *, violations=(), **facts):
        super().__init__(message, **facts)
        # The native half gives them as plain tuples.
        self.violations = tuple(
            rule if isinstance(rule, Violation) else Violation(*rule) for rule in violations
        )


class AuthError(EffectsError):
    """The key is missing, refused, or may not do this. Nothing is billed."""


class RateLimited(EffectsError):
    """The service throttled to the end of the wait. Nothing is billed."""


class OutOfCredit(EffectsError):
    """The account is out of credit. Nothing is billed."""


class BudgetExceeded(EffectsError):
    """The caller's own budget would be exceeded. Nothing was sent."""


class TaskFailed(EffectsError):
    """The task failed, or is completed without a picture."""


class TaskNotFound(EffectsError):
    """The service knows no such task."""


class WaitTimeout(EffectsError, TimeoutError):
    """The wait is over and the task is not. It goes on, and so does its bill."""


class OutcomeUnknown(EffectsError):
    """A submission's answer is lost: the task may exist and may be billed.

    ``request_id`` is the ``X-Request-Id`` it was sent with, by which the service's support may find it.
    """


class TransportError(EffectsError):
    """The service could not be reached, or a photo or a picture could not be transferred."""


class DeadlineExceeded(TransportError, TimeoutError):
    """The caller's deadline was over before anything was submitted. Nothing is billed."""


class UnreadableAnswer(EffectsError):
    """The service's answer cannot be read."""


class Violation:
    """One rule that a request breaks.

    Attributes:
        code: the service's code, ``"3009001"`` to ``"3009004"``; ``None`` for what is wrong with an
            option or a photo on this machine.
        field: the parameter, such as ``"template_id"``.
        value: what was given, if anything was.
        message: the rule, and the way out.
        suggestions: ids of templates that were probably meant.
    """

    __slots__ = ("code", "field", "message", "suggestions", "value")

    def __init__(self, code, field, value, message, suggestions=()):
        self.code = code
        self.field = field
        self.value = value
        self.message = message
        self.suggestions = tuple(suggestions)

    def _facts(self):
        return (self.code, self.field, self.value, self.message, self.suggestions)

    def __eq__(self, other):
        if not isinstance(other, Violation):
            return NotImplemented
        return self._facts() == other._facts()

    def __hash__(self):
        return hash(self._facts())

    def __reduce__(self):
        return (Violation, self._facts())

    def __str__(self):
        return f"{self.message} ({self.code})" if self.code else self.message

    def __repr__(self):
        return f"Violation(code={self.code!r}, field={self.field!r}, message={self.message!r})"


class ViolationList(list):
    """Violations that show themselves as a table in a notebook."""

    def _repr_html_(self):
        from . import _display

        return _display.violations(self)


def make(class_name, message, facts):
    """Makes the exception of an error that the native half tells of."""
    kind = globals().get(class_name)
    if kind is None:
        # A caller who stopped watching gets a `KeyboardInterrupt`, which is Python's own and takes a message
        # alone.
        return getattr(_builtins, class_name)(message)
    return kind(message, **facts)
