"""`kept vault ...`: the commands that do more than their method, since a person is asked, or something is shown.

All of them run in the caller's process: no value passes through a command line that the daemon runs.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct

from ..wire.vault import (
    DeleteSecret,
    Entry,
    ExportKey,
    RetrieveSecret,
    StatusOfVault,
    StoreSecret,
    UpdateSecret,
)
from .fields import fields_of, read_value
from .lending import LEND
from .methods import run_at_home
from .parse import Command
from .render import render, show_json
from .secret_params import asked
from .surface import FINE, Caller, Surface, UsageError, the_caller
from .text import clean, one_line
from .unlocking import retrieve as retrieve_entry
from .vault_ahead import name_is_free, unlocked
from .vault_views import readers, show_secret

JsonValue = Annotated[bool, Meta(description="The value is JSON, and not text.")]
Yes = Annotated[bool, Meta(description="Don't ask whether you mean it.")]
MayAsk = Annotated[bool, Meta(description="Ask for the password where the vault is locked.")]


class Vault(Struct, frozen=True, kw_only=True):
    """Whether the vault is locked, and what to do next."""


class Retrieve(RetrieveSecret, frozen=True, kw_only=True):
    """Print a secret: text as it is, another value as JSON; with --json the entry as a whole.

    A terminal gets a line; a file or a program gets the text to the byte. At a terminal a locked vault is unlocked
    first. An agent gets what agents may read, or, with --wait-seconds, what a person allows it to meanwhile.
    """

    input: MayAsk = True


class Store(StoreSecret, frozen=True, kw_only=True):
    """Keep a secret under a name that is free. The value is text, unless --json-value says that it is JSON.

    A file: `kept vault store NAME - <FILE`. Several lines are kept to the byte, as keys need it; of a single one the
    line feed at its end is no part.
    """

    json_value: JsonValue = False


class Update(UpdateSecret, frozen=True, kw_only=True):
    """Change an entry; what is left out stays.

    A new value is asked for with --ask-value, or comes from --value-fd N, or with `--value -` from standard input.
    """

    ask_value: Annotated[bool, Meta(description="Ask for a new value.")] = False
    json_value: JsonValue = False


class Delete(DeleteSecret, frozen=True, kw_only=True):
    """Delete a secret for good: it doesn't go to the trash. Backups that were made before still have it, sealed."""

    yes: Yes = False


def status(_: Vault, call: Caller, surface: Surface) -> int:
    """`kept vault`."""
    return run_at_home(StatusOfVault(), call, surface)


def retrieve(wanted: Retrieve, call: Caller, surface: Surface) -> int:
    """Print the value."""
    the_caller(surface)
    request = RetrieveSecret(id=wanted.id, purpose=wanted.purpose)
    entry = retrieve_entry(request, call, surface, wait_seconds=wanted.wait_seconds, may_ask=wanted.input)
    if surface.json:
        show_json(entry, surface)
    else:
        show_secret(entry, surface)
    return FINE


def store(wanted: Store, call: Caller, surface: Surface) -> int:
    """Keep it."""
    given = _given(wanted, StoreSecret)
    return _tell("stored", call(StoreSecret(**{**given, "value": _value(wanted.value, wanted.json_value)})), surface)


def update(wanted: Update, call: Caller, surface: Surface) -> int:
    """Change it."""
    given = _given(wanted, UpdateSecret)
    value = wanted.value
    if wanted.ask_value:
        if value is not UNSET:
            raise UsageError("--ask-value asks for the value that was given already")
        (field,) = (field for field in fields_of(Update) if field.secret)
        unlocked(wanted, call)
        value = the_caller(surface).secret(asked(field, "vault update", None))
    if value is not UNSET:
        given["value"] = _value(value, wanted.json_value)
    elif wanted.json_value:
        raise UsageError("--json-value is about a value, and none was given", "--ask-value asks for one.")
    if not _changes(given):
        raise UsageError("nothing was said of what to change", f"It changes {_CHANGEABLE}.")
    return _tell("changed", call(UpdateSecret(**given)), surface)


_OF_THE_CALL = frozenset({"id", "if_version", "idempotency_key"})
"""Parameters that say which entry, and when; the others are what it changes."""


def _changes(given: dict[str, Any]) -> bool:
    return any(value not in (None, UNSET) for name, value in given.items() if name not in _OF_THE_CALL)


_CHANGEABLE = ", ".join(
    f"--ask-{field.name} or {field.option} N" if field.secret else field.option
    for field in fields_of(UpdateSecret)
    if field.name not in _OF_THE_CALL
)


def _given(wanted: Struct, request: type[Struct]) -> dict[str, Any]:
    return {name: getattr(wanted, name) for name in request.__struct_fields__}


def _value(given: Any, is_json: bool) -> Any:
    """The value that the text stands for. Raises `UsageError` without a word of it."""
    if not is_json:
        return given
    # It refuses what nests too deeply, and a name that is there twice.
    read_value(given)
    try:
        return msgspec.json.decode(given)
    except msgspec.DecodeError:
        raise UsageError("the value is no JSON", "Without --json-value it is kept as text.") from None


_TOLD = {"people": "", "agents too": ", for agents too", "agents unread": ", for agents to use unread"}


def _tell(done: str, entry: Entry, surface: Surface) -> int:
    if surface.json:
        show_json(entry, surface)
    else:
        surface.line(f"{done} {one_line(entry.name)} ({one_line(entry.category)}{_TOLD[readers(entry)]})")
    return FINE


def delete(wanted: Delete, call: Caller, surface: Surface) -> int:
    """Delete it, once it is confirmed."""
    here = the_caller(surface)
    if not wanted.yes:
        answer = here.ask(f"Delete {clean(wanted.id)} for good? Type yes: ")
        if answer is None:
            raise UsageError("nobody is there to confirm it", "--yes deletes without asking.")
        if answer.strip().lower() not in ("y", "yes"):
            raise UsageError("not confirmed, so nothing was deleted")
    request = DeleteSecret(**_given(wanted, DeleteSecret))
    render(request, call(request), surface)
    return FINE


def export_key(wanted: ExportKey, call: Caller, surface: Surface) -> int:
    """Show the words, where somebody can see them."""
    return run_at_home(wanted, call, surface)


def _only_shown(surface: Surface) -> None:
    """Raises `UsageError` where the words would go into a file by mistake."""
    if not surface.terminal and not surface.json:
        raise UsageError("the recovery code is shown at a terminal only", "--json prints it for a program.")


VAULT = (
    Command(("vault",), Vault, status, examples=("kept vault",)),
    Command(
        ("vault", "retrieve"),
        Retrieve,
        retrieve,
        by_position=("id",),
        examples=("kept vault retrieve deploy.token", "kept vault retrieve deploy.token | wl-copy"),
    ),
    Command(
        ("vault", "store"),
        Store,
        store,
        by_position=("name", "value"),
        ahead=name_is_free,
        examples=(
            "kept vault store deploy.token --category credential",
            "cat id_ed25519 | kept vault store ssh.key - --tags ssh",
        ),
    ),
    Command(
        ("vault", "update"),
        Update,
        update,
        by_position=("id",),
        examples=("kept vault update deploy.token --ask-value", "kept vault update deploy.token --agent-readable"),
    ),
    Command(("vault", "delete"), Delete, delete, by_position=("id",), examples=("kept vault delete deploy.token",)),
    Command(
        ("vault", "export-key"),
        ExportKey,
        export_key,
        by_position=("password",),
        before=_only_shown,
        ahead=unlocked,
        examples=("kept vault export-key",),
    ),
    LEND,
)
