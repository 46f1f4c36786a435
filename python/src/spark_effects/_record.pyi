"""`Record`: the base of the values that callers get, immutable, comparable and picklable, for
`_picture.py`, `_answer.py`, `_event.py`, `_effect.py`, `_hooks.py` and `_emulator.py`. A subclass names its
fields in `_fields` and sets them in ``__init__`` with `set_field`. `record_of` makes one of the native
half's tuple, and `json_value` reads a JSON text.
"""

__all__ = ["Record"]

class Record:
    """Equality, pickling and immutability out of `_fields`."""

    def __hash__(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...
