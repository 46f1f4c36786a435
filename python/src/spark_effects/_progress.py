"""One line that tells how many jobs go: tqdm's if it is there, plain text otherwise."""

import sys
import time

__all__ = ["Meter"]


class Meter:
    """Counts results."""

    def __init__(self, total):
        self._total = total
        self._done = self._failed = 0
        self._spent = 0
        self._told = 0.0
        self._bar = None
        # A daemon or a windowed program may have no stderr; its jobs go all the same.
        self._mute = sys.stderr is None or getattr(sys.stderr, "closed", False)
        if self._mute:
            return
        try:
            from tqdm.auto import tqdm
        except ImportError:
            return
        self._bar = tqdm(total=total, unit="picture")

    def count(self, result):
        """One more."""
        self._done += 1
        self._failed += not result.ok
        if result.ok and result.effect.usage.cost is not None:
            self._spent = self._spent + result.effect.usage.cost
        if self._bar is not None:
            self._bar.set_postfix_str(self._words(), refresh=False)
            self._show(self._bar.update)
        elif time.monotonic() - self._told >= 1:
            self._show(self._tell)

    def close(self):
        """No more come."""
        self._show(self._tell if self._bar is None else self._bar.close)

    def _show(self, show):
        if self._mute:
            return
        try:
            show()
        except (OSError, ValueError):
            # It went away in the middle: what was paid for is worth more than the line about it.
            self._mute = True

    def _words(self):
        return f"{self._failed} failed, {self._spent} USD"

    def _tell(self):
        self._told = time.monotonic()
        of = "" if self._total is None else f" of {self._total}"
        print(f"{self._done}{of} done, {self._words()}", file=sys.stderr, flush=True)
