"""`attach_annotations`: gives functions their annotations, read from the package's stubs when something
asks for them. `__init__.py` calls it for each public class and function.

The types stand once, in the stubs, and cost no import; ``typing.get_type_hints`` finds them here.
"""

import functools
import types

__all__ = ["attach_annotations"]


def attach_annotations(owner):
    """Lets the functions of a class, or one function, find their annotations."""
    if isinstance(owner, types.FunctionType):
        owner.__annotations__ = _Annotations(owner.__module__, owner.__qualname__)
        return
    for kind in owner.__mro__:
        # Bases from elsewhere, such as `Exception` and `Enum`, keep what they have.
        if not kind.__module__.startswith("spark_effects."):
            continue
        for name, member in vars(kind).items():
            function = getattr(member, "fget", None) or getattr(member, "__func__", member)
            if isinstance(function, types.FunctionType):
                # A method that is made of a plan was defined elsewhere.
                function.__annotations__ = _Annotations(kind.__module__, f"{kind.__qualname__}.{name}")


class _Annotations(dict):
    """The annotations of one function; read with the first look."""

    __slots__ = ("_module", "_name")

    def __init__(self, module, name):
        super().__init__()
        self._module = module
        self._name = name

    def _read(self):
        name = self._name
        if name is not None:
            from ._stubs import stub

            dict.update(self, stub(self._module).hints(name))
            # Only now: another thread, and the next look after an interruption, read too until all is here.
            self._name = None
        return self

    def __eq__(self, other):
        return dict(self) == other

    def __ne__(self, other):
        return dict(self) != other

    __hash__ = None

    def __repr__(self):
        return repr(dict(self))

    def __reduce__(self):
        return (dict, (dict(self),))

    def copy(self):
        return dict(self)


def _after_reading(name):
    """The method of `dict` with this name, on annotations that were read."""
    method = getattr(dict, name)

    # With the signature of `dict`.
    @functools.wraps(method)
    def call(self, *arguments, **named):
        return method(self._read(), *arguments, **named)

    return call


# CPython's methods of a dict do not call each other, so each one that reads or writes is overridden.
for _name in (
    *("__contains__", "__delitem__", "__getitem__", "__ior__", "__iter__", "__len__", "__or__"),
    *("__reversed__", "__ror__", "__setitem__", "clear", "get", "items", "keys", "pop", "popitem"),
    *("setdefault", "update", "values"),
):
    setattr(_Annotations, _name, _after_reading(_name))
