"""A handler that is declared wrongly is found at import, a missing one at the start; never by a request."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from msgspec import Struct

from kept.wire import Call, Control, Page, Read, Write
from kept.wire.catalog import calls, result_type
from keptd.domain import Handler, ReadCtx, WriteCtx
from keptd.rpc.control import ControlCtx
from keptd.rpc.methods import BadHandler, check, collect, serves
from keptd.supervisor import DOMAINS


class Thing(Struct):
    name: str


class GetThing(Read[Thing], frozen=True, kw_only=True):
    method = "thing.get"
    id: str


class ListThings(Read[Page[Thing]], frozen=True, kw_only=True):
    method = "thing.list"


class SetThing(Write[Thing], frozen=True, kw_only=True):
    method = "thing.set"


class PingThing(Control[Thing], frozen=True, kw_only=True):
    method = "thing.ping"


def room(*functions: Callable[..., Any]) -> tuple[Handler, ...]:
    """What `collect` finds in a module with these functions."""
    module = ModuleType("room")
    for function in functions:
        function.__module__ = "room"
        setattr(module, function.__name__, function)
    return collect(module)


@serves
def get_thing(ctx: ReadCtx, call: GetThing) -> Thing:
    return Thing(call.id)


@serves(heavy=True)
def list_things(ctx: ReadCtx, call: ListThings) -> Page[Thing]:
    return Page(items=[])


@serves
def set_thing(ctx: WriteCtx, call: SetThing) -> Thing:
    return Thing("")


@serves
async def ping_thing(ctx: ControlCtx, call: PingThing) -> Thing:
    return Thing("")


CALLS: dict[str, type[Call[Any]]] = {call.method: call for call in (GetThing, ListThings, SetThing, PingThing)}


def test_handlers_are_found_by_their_tag_in_the_order_in_which_they_stand() -> None:
    def helper(ctx: ReadCtx, call: GetThing) -> Thing:
        return get_thing(ctx, call)

    found = room(set_thing, helper, list_things, get_thing)
    assert [handler.call for handler in found] == [SetThing, ListThings, GetThing]
    assert [handler.heavy for handler in found] == [False, True, False]
    assert found[1].result == Page[Thing]


def test_a_handler_that_was_imported_is_not_collected_again() -> None:
    module = ModuleType("elsewhere")
    module.get_thing = get_thing  # type: ignore[attr-defined]
    assert collect(module) == ()


def test_a_handler_can_be_heavy_by_its_call() -> None:
    def heavy(call: GetThing) -> bool:
        return call.id == "all"

    @serves(heavy=heavy)
    def sometimes(ctx: ReadCtx, call: GetThing) -> Thing:
        return Thing("")

    assert room(sometimes)[0].heavy is heavy


@serves
def no_call(ctx: ReadCtx, call: Thing) -> Thing:
    return call


@serves
def bare(ctx: ReadCtx, call) -> Thing:  # type: ignore[no-untyped-def]
    return Thing("")


@serves
def one_parameter(call: GetThing) -> Thing:
    return Thing("")


@serves
def three_parameters(ctx: ReadCtx, call: GetThing, more: int) -> Thing:
    return Thing("")


@serves
def other_result(ctx: ReadCtx, call: GetThing) -> Page[Thing]:
    return Page(items=[])


@serves
def no_result(ctx: ReadCtx, call: GetThing):  # type: ignore[no-untyped-def]
    return Thing("")


@serves
def optional_result(ctx: ReadCtx, call: GetThing) -> Thing | None:
    return None


@serves(heavy=True)
def heavy_write(ctx: WriteCtx, call: SetThing) -> Thing:
    return Thing("")


@serves(heavy=lambda call: True)
async def heavy_control(ctx: ControlCtx, call: PingThing) -> Thing:
    return Thing("")


@serves(at_once=lambda ctx, call: None)
def at_once_anyway(ctx: ControlCtx, call: PingThing) -> Thing:
    return Thing("")


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (at_once_anyway, "only what may have to wait"),
        (no_call, "must be annotated with a Call"),
        (bare, "must be annotated with a Call"),
        (one_parameter, "takes"),
        (three_parameters, "takes"),
        (other_result, "GetThing gives"),
        (no_result, "GetThing gives"),
        (optional_result, "GetThing gives"),
        (heavy_write, "only a read"),
        (heavy_control, "only a read"),
    ],
)
def test_a_wrong_handler_is_refused_by_name(function: Callable[..., Any], reason: str) -> None:
    with pytest.raises(BadHandler, match=reason) as refusal:
        room(function)
    assert f"room.{function.__name__}" in str(refusal.value)


def test_each_call_has_to_have_one_handler() -> None:
    handlers = room(get_thing, list_things, set_thing, ping_thing)
    assert check(CALLS, handlers).keys() == CALLS.keys()
    with pytest.raises(BadHandler, match=r"no handler for thing.ping, thing.set"):
        check(CALLS, handlers[:2])
    with pytest.raises(BadHandler, match=r"thing.get has two handlers"):
        check(CALLS, [*handlers, handlers[0]])
    with pytest.raises(BadHandler, match=r"thing.get is served but"):
        check({name: call for name, call in CALLS.items() if name != "thing.get"}, handlers)


def test_a_handler_of_another_class_with_the_same_name_is_refused() -> None:
    class GetOther(Read[Thing], frozen=True, kw_only=True):
        method = "thing.get"

    with pytest.raises(BadHandler, match=r"thing.get is served but"):
        check({"thing.get": GetOther}, room(get_thing))


def test_the_daemons_own_calls_and_handlers_agree() -> None:
    handlers = check(calls(), [handler for domain in DOMAINS for handler in domain.handlers])
    for name, call in calls().items():
        assert handlers[name].result == result_type(call)
