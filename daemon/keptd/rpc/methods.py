"""The methods: `@serves` ties a handler to its call, and the check at start proves that each call has just one.

Refuses a handler whose annotations don't name its call and that call's result, at import; and a daemon whose calls and
handlers differ, at start.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, TypeVar, get_type_hints, overload

from kept.wire import Call, Read
from kept.wire.catalog import result_type

from ..domain import Handler

F = TypeVar("F", bound=Callable[..., Any])

_TAG = "_keptd_handler"


class BadHandler(TypeError):
    """A handler is declared wrongly. Found at import or start, never by a request."""


@overload
def serves(function: F, /) -> F: ...
@overload
def serves(
    *, heavy: bool | Callable[[Any], bool] = False, at_once: Callable[[Any, Any], Any] | None = None
) -> Callable[[F], F]: ...
def serves(
    function: F | None = None,
    /,
    *,
    heavy: bool | Callable[[Any], bool] = False,
    at_once: Callable[[Any, Any], Any] | None = None,
) -> F | Callable[[F], F]:
    """Tag `function(ctx, call: SomeCall) -> Result` as the handler of `SomeCall`.

    `heavy` (reads only): True, or a predicate on the call, where the cost grows with the data, or where the answer
    takes more than one SELECT and so needs a snapshot. Such a read runs on a reader thread, in a transaction, with a
    deadline.

    `at_once` (asynchronous control calls only): a plain function of the same arguments that is tried first, on the
    loop, and gives None where the answer has to be waited for. It saves most requests a task.
    """

    def tag(target: F) -> F:
        setattr(target, _TAG, (heavy, at_once))
        return target

    return tag(function) if function is not None else tag


def collect(module: ModuleType) -> tuple[Handler, ...]:
    """The handlers of a `methods` module, checked, in the order in which they are written."""
    found = [item for item in vars(module).values() if hasattr(item, _TAG) and item.__module__ == module.__name__]
    return tuple(_handler(item) for item in found)


def _handler(function: Callable[..., Any]) -> Handler:
    where = f"{function.__module__}.{function.__qualname__}"
    hints = get_type_hints(function)
    parameters = list(inspect.signature(function).parameters)
    if len(parameters) != 2:
        raise BadHandler(f"{where}: a handler takes (ctx, call), not {parameters}")
    call = hints.get(parameters[1])
    if not (isinstance(call, type) and issubclass(call, Call)):
        raise BadHandler(f"{where}: its second parameter must be annotated with a Call")
    expected = result_type(call)
    if hints.get("return") != expected:
        raise BadHandler(f"{where}: {call.__name__} gives {expected}, but it is annotated {hints.get('return')}")
    heavy, at_once = getattr(function, _TAG)
    if heavy and not issubclass(call, Read):
        raise BadHandler(f"{where}: only a read can be heavy")
    if at_once is not None and not inspect.iscoroutinefunction(function):
        raise BadHandler(f"{where}: only what may have to wait can be answered at once instead")
    return Handler(call, expected, function, heavy, at_once)


def check(calls: Mapping[str, type[Call[Any]]], handlers: Iterable[Handler]) -> dict[str, Handler]:
    """The handlers by method name; raises `BadHandler` unless each of `calls` has exactly one."""
    found: dict[str, Handler] = {}
    for handler in handlers:
        name = handler.call.method
        if name in found:
            raise BadHandler(f"{name} has two handlers: {found[name].run.__qualname__}, {handler.run.__qualname__}")
        if calls.get(name) is not handler.call:
            raise BadHandler(f"{name} is served but no public call of kept.wire")
        found[name] = handler
    missing = sorted(calls.keys() - found.keys())
    if missing:
        raise BadHandler(f"no handler for {', '.join(missing)}")
    return found
