"""`Record`: the base of the values that callers get, immutable, comparable and picklable, for
`_picture.py`, `_answer.py`, `_event.py`, `_effect.py`, `_hooks.py` and `_emulator.py`. A subclass names its
fields in `_fields` and sets them in ``__init__`` with `set_field`. `record_of` makes one of the native
half's tuple, and `json_value` reads a JSON text.
"""

from ._values import is_own, own_state, package_class

__all__ = ["Record"]


class Record:
    """Equality, pickling and immutability out of `_fields`."""

    __slots__ = ()
    _fields = ()

    def _facts(self):
        return tuple(getattr(self, name) for name in self._fields)

    def __setattr__(self, name, value):
        # What a subclass adds may change; the record's own fields may not.
        if not is_own(self, name):
            raise AttributeError(f"{type(self).__name__} is a record and keeps its {name}")
        object.__setattr__(self, name, value)

    def __delattr__(self, name):
        raise AttributeError(f"{type(self).__name__} is a record and keeps its {name}")

    def __eq__(self, other):
        if type(other) is not type(self):
            return NotImplemented
        return self._facts() == other._facts()

    def __hash__(self):
        return hash(self._facts())

    def __reduce__(self):
        return (remade, (type(self), self._facts()), own_state(self))


def remade(kind, facts):
    # A subclass may take other arguments; what it adds follows as state.
    record = object.__new__(kind)
    package_class(kind).__init__(record, *facts)
    return record


# Past the records' own `__setattr__`, which refuses to change a field.
set_field = object.__setattr__


def record_of(kind, facts):
    # The native half gives tuples; a pickle, or a caller who makes one by hand, gives records.
    return facts if isinstance(facts, kind) else kind(*facts)


def json_value(text):
    if text is None:
        return None
    # Read when it is asked for: most callers never look at a raw answer or into an event.
    import json

    return json.loads(text)
