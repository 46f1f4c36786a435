"""`blocking` and `awaiting`: decorators that turn a plan of `_plans.py` into a method of the blocking or
the async client: it starts the native operation, waits for the result, and adds to the error of an
interrupted wait which task goes on. `_client.py` and `_task.py` build their classes with them;
`_many.py`, `_task.py` and `_observed_run.py` wait for single operations (`waited`, `awaited`, `started`).
`misspelt` makes the "did you mean" of an unknown option, for these methods, `Emulator` and `Job`.
"""

import functools
import sys
import types

from .errors import EffectsError

__all__ = [
    "check_alive",
    "add_hint",
    "awaited",
    "awaiting",
    "start_span",
    "blocking",
    "with_suggestion",
    "is_coroutine_function",
    "misspelt",
    "named",
    "plain",
    "waited",
]

# asyncio takes long to import, and the blocking client has no use for it.
_loop = None


def check_alive(_is_finalizing=sys.is_finalizing):
    """Raises an error once the interpreter shuts down: a `__del__` may run then, and half of what a call
    needs is gone. What it needs itself it keeps."""
    if _is_finalizing():
        raise RuntimeError("the interpreter is shutting down: nothing was sent; use atexit for last calls")


def blocking(plan):
    """Makes a method of the blocking client out of a plan.

    A plan takes the method's arguments and returns the operation and what makes the result of it.
    """
    # Modules are emptied at the end.
    check = check_alive

    @functools.wraps(plan)
    def method(self, /, *arguments, **options):
        check()
        operation, finish = call_plan(plan, self, arguments, options)
        span = start_span(plan.__name__, operation) if _OPENTELEMETRY in _modules else None
        try:
            is_multi_step = isinstance(operation, MultiStepOperation)
            # A `MultiStepOperation` waits for each of its steps with `waited`, which adds the hint already.
            result = finish(operation.wait()) if is_multi_step else waited(operation, finish)
        except BaseException as error:
            if span is not None:
                span.failed(error)
            if isinstance(error, EffectsError) and not isinstance(operation, MultiStepOperation):
                note_error(self, error)
            raise
        if span is not None:
            span.ended(result)
        return result

    return method


def awaiting(plan):
    """Makes a method of the async client out of a plan."""

    @functools.wraps(plan)
    async def method(self, /, *arguments, **options):
        # Thousands of these wait at once: each is one frame, and holds what it needs.
        operation, finish = call_plan(plan, self, arguments, options)
        del arguments, options
        span = start_span(plan.__name__, operation) if _OPENTELEMETRY in _modules else None
        try:
            if isinstance(operation, MultiStepOperation):
                result = finish(await operation.awaited())
            else:
                # Not `awaited`, which does the same: its frame would be one more for each call that waits.
                future = started(operation)
                try:
                    await future
                except BaseException as error:
                    detach(operation, future)
                    note_error(self, error)
                    raise
                result = finish(future.result())
        except BaseException as error:
            if span is not None:
                span.failed(error)
            raise
        if span is not None:
            span.ended(result)
        return result

    return method


# A program that traces has imported it; another one is spared the import.
_OPENTELEMETRY = "opentelemetry.trace"
_modules = sys.modules


def start_span(name, operation=None):
    """The span of a call that begins, where the program traces with OpenTelemetry."""
    if _OPENTELEMETRY not in _modules:
        return None
    from ._tracing import CallSpan

    span = CallSpan(name)
    # Nothing records it, so its exchanges need no parent.
    if span.context is None:
        return None
    if operation is not None:
        operation.trace(span.context)
    return span


class MultiStepOperation:
    """An operation of several steps, each waited for by itself: it adds the hint of what goes on itself."""

    __slots__ = ()


def is_coroutine_function(function):
    """Whether a call of it has to be awaited; `inspect`, which says it too, takes long to import."""
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    # 0x80 is `inspect.CO_COROUTINE`.
    return code is not None and bool(code.co_flags & 0x80)


def note_error(owner, error):
    """Lets a task know of an error that may be its end."""
    note = getattr(owner, "_note", None)
    if note is not None:
        note(error)


def call_plan(plan, client, arguments, options):
    """What a plan makes of a method's arguments."""
    try:
        return plan(client, *arguments, **options)
    except TypeError as error:
        # `from None`: the error that is replaced names a function that the caller did not call.
        raise with_suggestion(error, plan, options) from None


def plain(function):
    """Makes a method that says what a misspelt option probably means."""
    check = check_alive

    @functools.wraps(function)
    def method(self, /, *arguments, **options):
        check()
        try:
            return function(self, *arguments, **options)
        except TypeError as error:
            raise with_suggestion(error, function, options) from None

    return method


def waited(operation, finish=None):
    """Waits and makes something of the result; says what goes on when a signal comes between."""
    try:
        result = operation.wait()
        return result if finish is None else finish(result)
    # The operation has ended by itself, and its error names the task that goes on, if one does.
    except EffectsError:
        raise
    except BaseException as error:
        # Before the hint: an id that comes between the two is logged.
        operation.cancel()
        add_hint(error, operation.hint())
        raise


@types.coroutine
def _turn():
    """Lets the loop's other tasks have their turns."""
    yield


async def awaited(operation):
    """Awaits, and detaches when it is cancelled. A reader of many results that are there already leaves
    other tasks their turns."""
    future = started(operation)
    try:
        if future.done():
            await _turn()
        return await future
    except BaseException:
        detach(operation, future)
        raise


def started(operation):
    """Starts an operation for the running loop; returns the future its result arrives in."""
    global _loop
    # Kept, since an import statement takes nearly as long as all else about a result.
    if _loop is None:
        from . import _loop
    return _loop.started(operation)


def detach(operation, future):
    """Detaches from an operation, unless the error on its way is the operation's own."""
    error = sys.exc_info()[1]
    if future.done() and not future.cancelled() and future.exception() is error:
        return
    operation.cancel()
    add_hint(error, operation.hint())


def add_hint(error, hint):
    """Adds a hint to an exception."""
    if hint is None:
        return
    if hasattr(error, "add_note"):
        error.add_note(hint)
        return
    # Python 3.10 shows no notes: there they are where later versions keep them.
    error.__notes__ = [*getattr(error, "__notes__", ()), hint]


def named(owner):
    """Gives the methods of a class, which are made of plans, its name: for help, traces and pickles."""
    for name, method in vars(owner).items():
        if isinstance(method, types.FunctionType):
            method.__module__ = owner.__module__
            method.__qualname__ = f"{owner.__qualname__}.{name}"
    return owner


def constructor(function):
    """Makes an ``__init__`` that says what a call that does not fit it probably means."""

    @functools.wraps(function)
    def method(self, /, *arguments, **options):
        try:
            return function(self, *arguments, **options)
        except TypeError as error:
            # The error is of something within the call; one frame deep, the call itself did not fit.
            if error.__traceback__.tb_next is not None:
                raise
            raise _misfit(error, type(self), arguments, options) from None

    return method


def _misfit(error, owner, arguments, options):
    """The error of arguments that a class cannot be made of. It shows none of them: one may be a key."""
    # Here and in `misspelt`, since it takes long to import and only an error needs it.
    import inspect

    parameters = inspect.signature(owner).parameters.values()
    placed = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    named = [f"{one.name}=" for one in parameters if one.kind is one.KEYWORD_ONLY]
    shown = ", ".join(named[:2])
    if len(arguments) > len(placed):
        first = f"{' and '.join(placed)}, and then " if placed else ""
        return TypeError(f"{owner.__name__}() takes {first}options by name alone: {shown} and so on")
    suggestion = misspelt(None, owner, options)
    if suggestion is not None:
        return suggestion
    missing = [name for name in placed[len(arguments) :] if name not in options]
    return TypeError(f"{owner.__name__}() has no {' and no '.join(missing)}: give it") if missing else error


def with_suggestion(error, function, options):
    """The error, with what a misspelt option probably means."""
    trace = error.__traceback__
    # One frame deep, the call itself did not fit; deeper, it is an error of something within.
    if trace is None or trace.tb_next is not None:
        return error
    error = misspelt(error, function, options)
    # Python names the plan, `ClientPlans.run()`, of which the caller knows nothing.
    return TypeError(str(error).replace(f"{function.__qualname__}()", f"{function.__name__}()"))


def misspelt(error, function, options):
    """The error with a "did you mean" for the first option that the function does not have."""
    import difflib
    import inspect

    parameters = inspect.signature(function).parameters.values()
    known = [one.name for one in parameters if one.name != "self" and one.kind is not one.VAR_KEYWORD]
    for name in options:
        if name not in known:
            meant = [_OTHER_NAMES[name]] if _OTHER_NAMES.get(name) in known else []
            near = meant or difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            advice = f"did you mean {near[0]!r}?" if near else "the options are " + ", ".join(known)
            if not meant:
                advice = _option_of_another_call(name, known) or advice
            advice = _ELSEWHERE.get(name, advice)
            return TypeError(f"{function.__name__}() has no option {name!r}: {advice}")
    return error


# The calls whose options a hint names, by how a program writes them. `_client.py`, which imports this module,
# puts its own in.
calls_with_options = {}


def _option_of_another_call(name, known):
    """Which calls of a client have an option of exactly this name, and how one call sets it, if one can."""
    import inspect

    # Imported here, since it imports this module.
    from ._values import Policy

    owners = [call for call, made in calls_with_options.items() if _has_option(inspect.signature(made), name)]
    if not owners:
        return None
    last = owners.pop()
    advice = f"it is an option of {', '.join(owners)}{' and ' if owners else ''}{last}"
    if "policy" in known and _has_option(inspect.signature(Policy), name):
        advice += f"; for one call, give policy=client.policy.replace({name}=...)"
    return advice


def _has_option(signature, name):
    parameter = signature.parameters.get(name)
    return parameter is not None and parameter.kind is parameter.KEYWORD_ONLY


# What options are called elsewhere, where the spelling does not suggest them.
_OTHER_NAMES = {
    "url": "base_url",
    "endpoint": "base_url",
    "host": "base_url",
    "key": "api_key",
    "token": "api_key",
    "timeout": "wait_timeout",
    "wait": "wait_timeout",
    "download": "fetch",
    "photo": "image",
    "image_input1": "image",
}

# Options of other calls.
_TASK = "client.task(id) takes up a task that was submitted before, and may stand among jobs"
_ELSEWHERE = {"id": _TASK, "task_id": _TASK}
