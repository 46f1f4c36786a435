"""`ClientPlans`, `TaskPlans` and `EventPlans`: the methods of clients, tasks and a task's events, each
written once as a plan, a function that checks the arguments and returns the native operation to wait for
and the function that makes the result. `_client.py` and `_task.py` make the blocking and the async method
of each plan with `_wait.blocking` and `_wait.awaiting`; `_client.py` also makes ``map`` and
``as_completed`` with `many`, and its ``check`` calls `checked`.
"""

import os

from ._answer import TaskStatus
from ._effect import Effect, effect_of
from ._image import photo_path
from ._many import start
from ._picture import Picture
from ._request import plain_request
from ._values import Headers, Policy, boolean, positive
from ._wait import is_coroutine_function
from .errors import Violation, ViolationList

__all__ = ["ClientPlans", "EventPlans", "TaskPlans", "call_policy", "checked"]


def call_policy(own, policy, **changes):
    """The policy of one call: its own if it has one, with the options that were not left out (``...``)."""
    if policy is None:
        policy = own
    elif not isinstance(policy, Policy):
        raise TypeError(f"policy is {policy!r}: give a Policy")
    # `...` and not `None` is what was left out, since `None` means without limit.
    changes = {name: value for name, value in changes.items() if value is not ...}
    if changes.get("headers") is not None:
        # Beside those of the client; of two values of one header the latter counts.
        changes["headers"] = (*policy.headers, *Headers(changes["headers"]))
    else:
        changes.pop("headers", None)
    return policy.replace(**changes) if changes else policy


def _timeout(value):
    return None if value is None else positive("timeout", value)


def _unchanged(value):
    return value


def _one_picture(picture):
    if isinstance(picture, Effect):
        picture = picture.picture
    if not isinstance(picture, Picture):
        raise TypeError(f"picture is {type(picture).__name__!r}: give a Picture, or an Effect with one")
    return picture


def _plain(picture):
    import json

    # What it is fetched by; bytes that are here already stay here.
    facts = {"task_id": picture.task_id, "url": picture.url}
    return json.dumps({**facts, "size": picture.size, "job_id": picture.job_id})


def _observed_run(stream, fetch, on_event, progress):
    # Imported here, as a run without events or progress does not need it.
    from ._observed_run import ObservedRun

    meter = None
    if progress:
        from ._progress import RunMeter

        meter = RunMeter()
    return ObservedRun(stream, fetch, on_event, meter)


class ClientPlans:
    """What a client can do."""

    def run(
        self,
        template,
        image,
        *,
        width=None,
        height=None,
        extra=None,
        wait_timeout=...,
        deadline=...,
        headers=None,
        policy=None,
        fetch=True,
        on_event=None,
        progress=False,
    ):
        """Submits a request, waits for its picture and fetches it. From the submission on, it costs.

        Args:
            template: a `Template`, or the exact id of one.
            image: the photo: a URL, a path, bytes, a binary file, a PIL image, or a numpy array of
                height x width, or x 3 or 4, of uint8 or floats from 0 to 1. What is not a
                URL is uploaded first.
            width: pixels across, 512 to 2048; 1328 when left out.
            height: pixels down, 512 to 2048; 1328 when left out.
            extra: parameters that this library does not know, for the service: ``{"seed": 3}``. One that
                it knows, or that looks like one, is refused.
            wait_timeout: how long to watch, in seconds or as a timedelta, without limit with ``None`` or
                ``inf``; the client's own when left out.
            deadline: how long the call may take in all (upload, submission, wait and download together), in
                seconds or as a timedelta, without limit with ``None``; the client's own when left out.
            headers: headers on each request to the gateway, beside the client's own; see `Client`.
            policy: how this run behaves, instead of the client's own policy.
            fetch: whether to fetch the picture's bytes before returning.
            on_event: a function that is called with each `Event` as it comes; with `AsyncClient` it may be
                a coroutine function. No look is taken while it works. If it raises, the watching ends with
                its error, and the task goes on.
            progress: whether to show progress: with tqdm if it is there, else as text on stderr.

        Returns:
            The `Effect`.

        Raises:
            InvalidRequest: the request breaks the service's rules; nothing was sent.
            AuthError: the key was refused.
            RateLimited: the service throttled to the end of the wait.
            OutOfCredit: the account is out of credit.
            TaskFailed: the task failed, or has no picture.
            WaitTimeout: the wait or the deadline is over and the task is not; it goes on.
            DeadlineExceeded: the deadline was over before anything was submitted.
            OutcomeUnknown: the task may exist and may be billed.
            TransportError: the service could not be reached, or a picture not be transferred.
            UnreadableAnswer: the service's answer cannot be read.
        """
        times = {"wait_timeout": wait_timeout, "deadline": deadline}
        policy = call_policy(self._policy, policy, headers=headers, **times)
        if not (on_event is None or callable(on_event)):
            raise TypeError(f"on_event is {on_event!r}: give a function of one event")
        if is_coroutine_function(on_event) and not self._awaits:
            raise TypeError("on_event is a coroutine function: AsyncClient awaits it, and Client does not")
        progress = boolean("progress", progress)
        asked, photo = plain_request(template, image, width, height, extra), photo_path(image)
        if on_event is None and not progress:
            operation = self._open.run(asked, policy._native, fetch)
        else:
            operation = _observed_run(self._open.run_events(asked, policy._native), fetch, on_event, progress)
        return operation, lambda facts: effect_of(facts, photo)

    def submit(
        self, template, image, *, width=None, height=None, extra=None, deadline=..., headers=None, policy=None
    ):
        """Submits a request and returns its task once the id is known. From here on it costs.

        The arguments and errors are those of `run`, but for the waiting.

        Returns:
            The task: keep its ``id``, and it can be picked up again with ``client.task(id)``.
        """
        own = call_policy(self._policy, policy, deadline=deadline, headers=headers)
        asked = plain_request(template, image, width, height, extra)
        operation, photo = self._open.submit(asked, own._native), photo_path(image)

        def finish(facts):
            handle, task_id, template = facts
            return self._task_class(self, handle, task_id, template, photo)

        return operation, finish

    def download(self, picture, path, *, timeout=None):
        """Downloads a picture into a file, which appears whole or not at all; returns its path.

        Attempts that are repeated, and a picture whose length is not what the service said, are warnings
        of the logger ``"spark_effects"``.

        Args:
            picture: a `Picture`, or an `Effect` with a single one.
            path: the file; what stands there is replaced. A device or a pipe is written to, and a
                symbolic link stays one.
            timeout: how long this call may take, with all that is repeated, in seconds or as a timedelta;
                as long as the client's policy repeats it, when left out.

        Raises:
            InvalidRequest: the path is the photo that the picture was made of.
            TransportError: it could not be downloaded or written; it is paid for and still there.
        """
        picture = _one_picture(picture)
        if path is None:
            raise TypeError("path is None: give a path, or use fetch(picture)")
        target, native = picture._checked_target(path), self._policy._native
        return self._open.download(_plain(picture), target, native, _timeout(timeout)), os.fspath

    def fetch(self, picture, *, timeout=None):
        """Downloads a picture into memory and returns its bytes.

        Args:
            picture: a `Picture`, or an `Effect` with a single one.
            timeout: how long this call may take; see `download`.

        Raises:
            TransportError: it could not be downloaded; it is paid for and still there.
        """
        plain = _plain(_one_picture(picture))
        return self._open.download(plain, None, self._policy._native, _timeout(timeout)), _unchanged

    def upload(self, image, *, timeout=None):
        """Puts a local photo where the service can fetch it and returns the URL.

        The same photo is uploaded once an hour. Nothing is billed.

        Args:
            image: the photo, in any form that `run` takes.
            timeout: how long this call may take; see `download`.

        Raises:
            InvalidRequest: it is no photo, or ``uploads=`` does not say where to put it.
            TransportError: the upload failed.
        """
        asked = plain_request(None, image, None, None)
        return self._open.upload(asked, self._policy._native, _timeout(timeout)), _unchanged


def many(ordered):
    """The method that does many jobs: both orders and both clients share it."""

    def method(
        self,
        jobs,
        *,
        in_flight=16,
        ahead=None,
        budget=None,
        price=None,
        scope=None,
        journal=None,
        deadline=...,
        headers=None,
        policy=None,
        fetch=True,
        progress=False,
        submissions=None,
        polls_per_second=None,
        unknown_in_a_row=3,
    ):
        return self._results_class(
            *start(
                self,
                jobs,
                ordered=ordered,
                in_flight=in_flight,
                ahead=ahead,
                budget=budget,
                price=price,
                scope=scope,
                journal=journal,
                policy=call_policy(self._policy, policy, deadline=deadline, headers=headers),
                fetch=fetch,
                progress=progress,
                submissions=submissions,
                polls_per_second=polls_per_second,
                unknown_in_a_row=unknown_in_a_row,
            )
        )

    order = "in the order of the jobs" if ordered else "as they end"
    # By their names for tracebacks, pickles and help, since both are made of one function.
    method.__name__ = "map" if ordered else "as_completed"
    method.__doc__ = f"""Does many jobs at once and yields a `Result` for each, {order}.

        A job that fails is a result with an error and stops no other. With a journal, running the same
        jobs again submits only what is missing, follows what is unfinished and pays for nothing twice.
        Of a job that was completed before, the journal knows the task, the cost and the picture's link:
        with ``fetch=False`` the result tells these (`Effect.raw` is empty then) and nothing is asked of
        the service, unless the link was kept without a part that could be a permission. With
        ``fetch=True`` the task is looked at once for a fresh link, and its picture fetched again, since
        the journal keeps no pictures: save them, and leave the jobs out whose files are there.

        Args:
            jobs: any iterable of `Job` objects, (template, image) pairs, dicts, or tasks; for `AsyncClient`
                also an async iterable, which is drawn in the event loop. A pandas or polars table with the
                columns ``template`` and ``image``, and those of `Job` that are wanted, gives its rows:
                `Result.job` is the row, as a dict of all its columns. The jobs are drawn from a thread of
                their own, as room comes, and so many more as there are `submissions`: the photos of those
                are uploaded side by side meanwhile, each once.
            in_flight: tasks in flight at once. Each needs a look to be seen done, so `polls_per_second`
                limits the pace, however many are in flight: 300 jobs take 15 s at least at 20 a second.
            ahead: results that may wait to be taken beside the tasks in flight; ``in_flight - 1`` when
                left out. A job is submitted only while the tasks in flight and the results not yet taken
                are fewer than ``in_flight + ahead``, so that leaving the loop leaves no more than so
                many paid for and unused. With ``ahead=0`` each result holds its place until it is taken:
                a slow reader, or one slow task before others in `map`, then holds up the submitting.
            budget: what this call may pay, in USD, as text or `decimal.Decimal`; never more than is left
                of the client's own budget. Jobs beyond it end with `BudgetExceeded`, unsent. What
                earlier calls paid for jobs the journal knows is not paid again and does not count.
            price: what one picture costs at most, in USD, if it is known. A picture that costs more is a
                warning of the logger ``"spark_effects"``, at once, and from then on so much is reserved for
                each; jobs that cost more than the budget after all are one at the end.
            scope: the name of an order in the journal, which many processes and machines may do together.
                Their budget is one, and counts what earlier calls in the scope paid. Keys of jobs count
                within it, so that two orders may both number their jobs from 1. Only with a journal, and
                not for a client that has a budget of its own.
            journal: the file that keeps what was done, safe against crashes, or the ``postgres://`` URL of
                a database that many machines share; the client's own when left out.
            deadline: how long all of it may take, from the first upload to the last picture, in seconds or
                as a timedelta, without limit with ``None``; the client's own when left out. What was not
                submitted by then is not, and errors name the tasks that go on.
            headers: headers on each request to the gateway, beside the client's own; see `Client`.
            policy: how the runs behave, instead of the client's own policy.
            fetch: whether to fetch the pictures' bytes, those of jobs completed before too.
            progress: whether to show progress: with tqdm if it is there, else as text on stderr.
            submissions: submissions in flight at once, and uploads; 4 when left out.
            polls_per_second: looks a second, over all tasks, at most; 20 when left out, and 1000 at an
                `Emulator` of this process.
            unknown_in_a_row: how many submissions in a row may be of unknown outcome. Then nothing is
                submitted for 30 s, and one job shows whether the gateway answers again: if not, the jobs
                left end with a `TransportError`, unsent.

        Raises:
            InvalidRequest: an option cannot be used.
            EffectsError: the journal cannot be opened, read or written; with the first result, since the
                opening may take its time.
        """
    return method


class TaskPlans:
    """What can be done with a task."""

    def status(self, *, policy=None, timeout=None):
        """Looks at the task once; what goes wrong on the way is repeated for one ``request_timeout``.

        Args:
            policy: how to look, instead of the client's own policy.
            timeout: how long this call may take, with all that is repeated, in seconds or as a timedelta.

        Returns:
            A `TaskStatus`.

        Raises:
            TaskNotFound: the service knows no such task.
            AuthError: the key was refused.
            TransportError: the service could not be reached.
        """
        own = call_policy(self._client._policy, policy)
        timeout = _timeout(timeout)
        if timeout is not None:
            # So that what goes wrong is raised, where it is known before the time is over.
            own = own.replace(request_timeout=min(own.request_timeout, timeout))
        operation = self._client._open.status(self._handle, own._native, timeout)
        return operation, self._looked

    def wait(self, *, wait_timeout=..., deadline=..., headers=None, policy=None, fetch=True):
        """Waits for the task's picture and fetches it.

        Args:
            wait_timeout: how long to wait from now, in seconds or as a timedelta, without limit with
                ``None`` or ``inf``; the client's own when left out.
            deadline: how long the call may take in all, with the download, in seconds or as a timedelta,
                without limit with ``None``; the client's own when left out.
            headers: headers on each request to the gateway, beside the client's own; see `Client`.
            policy: how to wait, instead of the client's own policy.
            fetch: whether to fetch the picture's bytes before returning.

        Returns:
            The `Effect`.

        Raises:
            TaskFailed: the task failed, or has no picture.
            TaskNotFound: the service knows no such task.
            WaitTimeout: the wait is over and the task is not; it goes on. Also a ``TimeoutError``.
            AuthError: the key was refused.
            TransportError: the service could not be reached.
        """
        times = {"wait_timeout": wait_timeout, "deadline": deadline}
        own = call_policy(self._client._policy, policy, headers=headers, **times)
        operation = self._client._open.wait(self._handle, own._native, fetch)
        return operation, self._finished

    def _looked(self, facts):
        seen = self._seen = TaskStatus(*facts)
        self._last = (seen.status, seen.progress)
        if seen.done:
            failed = seen.status != "completed"
            self._end_seen((str(seen.error) if seen.error else seen.status) if failed else None)
        return seen

    def _finished(self, facts):
        return self._effect_from(facts)


class EventPlans:
    """What can be done with the events of a task."""

    def finish(self, *, fetch=True):
        """Lets what is left of the events pass, and says what the following came to.

        Unlike `Task.wait`, it begins no wait of its own: where the wait of the events is over, so is
        this one.

        Args:
            fetch: whether to fetch the picture's bytes before returning.

        Returns:
            The `Effect`.

        Raises:
            EffectsError: what ended the following, as `Task.wait` raises it.
        """
        return self._stream.finish(fetch), self._task._finished


def checked(client, template, image, width, height, extra=None):
    """Everything wrong with a request, as violations."""
    violations, problems = client._open.check(plain_request(template, image, width, height, extra))
    found = [Violation(*rule) for rule in violations]
    # Without a code of the service's: these are about the photo on this machine.
    found += [Violation(None, "image_input1", None, str(problem)) for problem in problems]
    return ViolationList(found)
