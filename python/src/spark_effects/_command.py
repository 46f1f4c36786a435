"""`main`: the ``effects`` command inside this package, the same program as that of the Rust crate. The
script ``effects`` and `__main__.py` call it.
"""

import signal
import sys

from . import _native

__all__ = ["main"]


def main():
    """Does what the command line says and ends the process with its exit code."""
    # The command answers Ctrl-C itself; Python must not answer it a second time.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(_native.command(["effects", *sys.argv[1:]]))
