"""The commands that come from the methods: `kept DOMAIN VERB` for each call there is. No list: the catalog is the
list."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct

from ..wire import Call, Write
from ..wire.catalog import calls
from ..wire.daemon import RunCommand
from ..wire.job import Run
from ..wire.maintenance import Checkup
from .fields import fields_of, read_value
from .parse import Command, convert, did_you_mean
from .render import render, show_json
from .surface import FINE, REFUSED, Caller, Surface, UsageError, the_caller
from .vault_ahead import ahead_of

EXAMPLES = {
    "memory.set": (
        "kept memory set editor.indent 4",
        'kept memory set build \'{"tool": "uv"}\' --tags ci --priority 8',
    ),
    "memory.get": ("kept memory get editor.indent",),
    "memory.list": ("kept memory list --prefix editor. --json",),
    "memory.search": ('kept memory search "build tool"',),
    "decision.add": ('kept decision add "use SQLite" --reasoning "one file"',),
    "decision.list": ("kept decision list --status open",),
    "action.log": ('kept action log "ran the tests" --details \'{"failed": 2}\'',),
    "action.list": ("kept action list --since 1d",),
    "error.record": ('kept error record "deploy failed" --context \'{"exit": 1}\'',),
    "component.set": ("kept component set web degraded --health 60",),
    "context.bundle": ("kept context bundle --format markdown --budget-tokens 1000",),
}
"""What help shows; a test runs each through the parser."""

_NO_START = frozenset({"daemon.stop", "daemon.status", "daemon.clients", "daemon.activity", "daemon.reload"})
"""Methods about a daemon that runs: starting one to ask it would answer another question."""


def reachable() -> Mapping[str, type[Call[Any]]]:
    """The methods that have a command: all but the command line itself, which could call itself until the daemon has no
    thread left."""
    return {name: call for name, call in calls().items() if call is not RunCommand}


def commands() -> Iterator[Command]:
    """A command per method."""
    for name, call in reachable().items():
        domain, _, verb = name.partition(".")
        yield Command(
            words=(domain.replace("_", "-"), verb.replace("_", "-")),
            params=call,
            run=run_at_home if is_private(name) else run_method,
            by_position=_by_position(call),
            examples=EXAMPLES.get(name, ()),
            ahead=ahead_of(call) if is_private(name) else None,
            starts=name not in _NO_START,
        )


def _by_position(call: type[Call[Any]]) -> tuple[str, ...]:
    """What is required; a secret only where it is the only one, since all that can stand in its place is `-`."""
    required = [field for field in fields_of(call) if field.required]
    has_one = sum(field.secret for field in required) == 1
    return tuple(field.name for field in required if has_one or not field.secret)


def is_private(method: str) -> bool:
    """Whether its parameters or its results are secrets, which pass through nothing but the connection of the process
    that needs them: its command never runs in the daemon."""
    return method.startswith("vault.")


def run_at_home(request: Call[Any], call: Caller, surface: Surface) -> int:
    """The same in the caller's process alone."""
    the_caller(surface)
    return run_method(request, call, surface)


def run_method(request: Call[Any], call: Caller, surface: Surface) -> int:
    """Ask, and show the answer. What was asked for and went wrong is no success."""
    result = call(request)
    render(request, result, surface)
    return REFUSED if _went_wrong(result) else FINE


def _went_wrong(result: object) -> bool:
    """Whether a program that asked has to know: the job did not get done, or the check found a problem."""
    if isinstance(result, Run):
        return result.result != "ok"
    return isinstance(result, Checkup) and result.verdict == "problem"


def about(domain: str) -> str:
    """What a domain is for: the first sentence of its module in `kept.wire`."""
    call = next(call for name, call in calls().items() if name.partition(".")[0].replace("_", "-") == domain)
    _, _, text = (sys.modules[call.__module__].__doc__ or "").partition(": ")
    text = text.split("\n", 1)[0].split(". ", 1)[0].rstrip(".")
    return text[:1].upper() + text[1:]


def is_write(command: Command) -> bool:
    """Whether the command is a method that changes something."""
    return issubclass(command.params, Write)


class Rpc(Struct, frozen=True, kw_only=True):
    """Call any method with its parameters as one JSON object; prints the result as JSON.

    A password or another secret among them has to come from standard input, with - as PARAMS.
    """

    method: Annotated[str, Meta(min_length=1, max_length=200, description="The method's name, such as memory.get.")]
    params: Annotated[Any, Meta(description="Its parameters, a JSON object.")] = None


def rpc(wanted: Rpc, call: Caller, surface: Surface) -> int:
    """Run `kept rpc METHOD [JSON]`."""
    request = reachable().get(wanted.method)
    if request is None:
        raise UsageError(
            "no such method", did_you_mean(wanted.method, reachable()) or "kept rpc rpc.discover lists them."
        )
    given = wanted.params
    if given == "-":
        given = read_value(surface.stdin().removesuffix("\n"))
    elif isinstance(given, dict):
        _refuse_secrets(given, request)
    if is_private(wanted.method):
        the_caller(surface)
    if not isinstance(given, (dict, type(None))):
        raise UsageError("PARAMS must be a JSON object", f"For example kept rpc {wanted.method} '{{\"limit\": 5}}'")
    try:
        params = convert(given or {}, request, fields_of(request))
    except UsageError as refusal:
        words = wanted.method.replace("_", "-").replace(".", " ")
        raise UsageError(refusal.message, refusal.hint or f"kept {words} --help describes the parameters.") from None
    show_json(call(params), surface)
    return FINE


def _refuse_secrets(given: dict[str, Any], request: type[Call[Any]]) -> None:
    """Parameters that stood in the command line hold no secret."""
    for field in fields_of(request):
        if field.secret and field.name in given:
            raise UsageError(
                f"{field.name} is never taken from the command line, which every program of this machine can see",
                f"kept rpc {request.method} - reads the JSON object from standard input.",
            )


RPC = Command(
    ("rpc",),
    Rpc,
    rpc,
    by_position=("method", "params"),
    as_typed=("params",),
    examples=(
        'kept rpc memory.get \'{"key": "editor.indent"}\'',
        "kept rpc rpc.discover",
        "cat unlock.json | kept rpc vault.unlock -",
    ),
)
