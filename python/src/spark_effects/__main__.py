"""Runs the ``effects`` command (`_command.main`) for ``python -m spark_effects``."""

from ._command import main

if __name__ == "__main__":
    main()
