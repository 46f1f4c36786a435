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
        try:
            from tqdm.auto import tqdm
        except ImportError:
            self._bar = None
        else:
            self._bar = tqdm(total=total, unit="picture")

    def count(self, result):
        """One more."""
        self._done += 1
        self._failed += not result.ok
        if result.ok and result.effect.usage.cost is not None:
            self._spent = self._spent + result.effect.usage.cost
        if self._bar is not None:
            self._bar.set_postfix_str(self._words(), refresh=False)
            self._bar.update()
        elif time.monotonic() - self._told >= 1:
            self._tell()

    def close(self):
        """No more come."""
        if self._bar is not None:
            self._bar.close()
        else:
            self._tell()

    def _words(self):
        return f"{self._failed} failed, {self._spent} USD"

    def _tell(self):
        self._told = time.monotonic()
        of = "" if self._total is None else f" of {self._total}"
        print(f"{self._done}{of} done, {self._words()}", file=sys.stderr, flush=True)
