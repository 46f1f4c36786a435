"""``python -m spark_effects`` is the ``effects`` command."""

from ._command import main

if __name__ == "__main__":
    main()
