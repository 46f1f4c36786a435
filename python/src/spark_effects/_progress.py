"""`Meter` and `RunMeter`: progress displays for ``progress=True``, with tqdm's bar if it is installed, else
as lines of text. `Meter` counts the finished jobs, failures and cost of ``map`` and ``as_completed``
(`_many.py` makes it); `RunMeter` shows the events of one ``run`` (`_plans.py` makes it).
"""

import sys
import time

__all__ = ["Meter", "RunMeter"]


class _ProgressPrinter:
    """Prints progress. Where printing fails it stops printing: the jobs, which are paid for, go on."""

    def __init__(self):
        self._stream = _stream()
        # A daemon or a windowed program may have no stderr; its jobs go all the same.
        self._is_silent = self._stream is None or getattr(self._stream, "closed", False)
        self._printed_at = 0.0

    def _try(self, show):
        if self._is_silent:
            return
        try:
            show()
        except (OSError, ValueError):
            # It went away in the middle.
            self._is_silent = True

    def _is_due(self):
        """Whether the last line is a second old."""
        return time.monotonic() - self._printed_at >= 1

    def _print(self, words):
        self._printed_at = time.monotonic()
        print(words, file=self._stream, flush=True)


def _stream():
    """stderr; in a notebook, which shows that as an error, stdout."""
    is_notebook = type(sys.stderr).__module__.startswith("ipykernel.")
    return sys.stdout if is_notebook else sys.stderr


def _tqdm():
    try:
        # `auto` shows a widget in a notebook and a line of text elsewhere.
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm


class Meter(_ProgressPrinter):
    """Counts results."""

    def __init__(self, total):
        super().__init__()
        self._total = total
        self._done = self._failed = 0
        # Costs are added to it; a `Decimal` would have to be imported also where none comes.
        self._spent = 0
        self._bar = None
        if self._is_silent:
            return
        tqdm = _tqdm()
        if tqdm is not None:
            self._bar = tqdm(total=total, unit="picture")

    def count(self, result):
        """One more."""
        self._done += 1
        self._failed += not result.ok
        if result.cost is not None:
            self._spent = self._spent + result.cost
        if self._bar is not None:
            # Not drawn here: `update` draws, under the guard of `_try`.
            self._bar.set_postfix_str(self._words(), refresh=False)
            self._try(self._bar.update)
        elif self._is_due():
            self._try(self._print_counts)

    def close(self):
        """No more come."""
        self._try(self._print_counts if self._bar is None else self._bar.close)

    def _words(self):
        return f"{self._failed} failed, {self._spent} USD"

    def _print_counts(self):
        of = "" if self._total is None else f" of {self._total}"
        self._print(f"{self._done}{of} done, {self._words()}")


class RunMeter(_ProgressPrinter):
    """Shows the events of one run: what happens at once, how far it is once a second."""

    def __init__(self):
        super().__init__()
        self._bar = None
        self._share = 0.0
        if self._is_silent:
            return
        tqdm = _tqdm()
        if tqdm is not None:
            form = "{desc}{percentage:3.0f}%|{bar}| {elapsed}"
            self._bar = tqdm(total=1.0, desc="submitting", bar_format=form)

    def show(self, event):
        """One more event."""
        self._try(lambda: self._show_event(event))

    def _show_event(self, event):
        if self._bar is None:
            if event.kind != "running" or self._is_due():
                self._print(event.text)
            return
        if event.kind in ("retrying", "warning", "second_task"):
            self._bar.write(event.text, file=self._stream)
        if event.task_id is not None:
            # The id comes from the service: what a terminal would obey is escaped.
            self._bar.set_description(f"task {_plain(event.task_id)}", refresh=False)
        # A share that falls back is shown as it was.
        share = max(self._share, event.progress or 0.0)
        self._go_to(share)

    def _go_to(self, share):
        self._bar.update(share - self._share)
        self._share = share
        # tqdm passes over updates that follow each other quickly, and the last one must be seen.
        self._bar.refresh()

    def done(self):
        """The task is completed."""
        if self._bar is not None:
            self._try(lambda: self._go_to(1.0))

    def close(self):
        """The run is over, or left."""
        if self._bar is not None:
            self._try(self._bar.close)


def _plain(text):
    from . import _native

    return _native.printable(text)
