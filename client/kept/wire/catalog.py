"""Every method there is: the calls of all modules of this package, found, not listed by hand."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any

from .. import wire
from . import Call, Control, Read, Write

_KINDS = (Read, Write, Control)


@cache
def calls() -> MappingProxyType[str, type[Call[Any]]]:
    """The calls by method name, sorted."""
    found: dict[str, type[Call[Any]]] = {}
    for module in pkgutil.iter_modules(wire.__path__):
        if module.name == "catalog":
            continue
        for item in vars(import_module(f"{wire.__name__}.{module.name}")).values():
            is_method = isinstance(item, type) and issubclass(item, Call) and "method" in vars(item)
            if is_method and found.setdefault(item.method, item) is not item:
                raise TypeError(f"two calls are named {item.method}")
    return MappingProxyType(dict(sorted(found.items())))


def result_type(call: type[Call[Any]]) -> Any:
    """The type argument of `Read[...]`, `Write[...]` or `Control[...]`."""
    (base,) = (base for base in vars(call)["__orig_bases__"] if getattr(base, "__origin__", None) in _KINDS)
    return base.__args__[0]


@cache
def events() -> MappingProxyType[str, str]:
    """What the changes of a method are called, by method."""
    return MappingProxyType({name: call.event for name, call in calls().items() if call.event is not None})


def methods_of(event: str) -> tuple[str, ...]:
    """The methods whose changes are called so; none where no event has that name."""
    return tuple(name for name, own in events().items() if own == event)


def further_names(some: Iterable[type[Call[Any]]]) -> frozenset[str]:
    """The names, beside their methods', under which the changes of these calls can be followed."""
    return frozenset(name for call in some for name in (call.event, *call.notices) if name is not None)
