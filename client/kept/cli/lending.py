"""`kept vault run`: which secrets a command is lent, and in which places.

Owns the words that say so. Knows neither processes nor output: `kept.vault_run` starts the command, in the caller's
process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Struct

from ..vault_run import Launch
from ..wire.errors import Denied, NotFound
from ..wire.vault import RetrieveSecret
from .parse import Command
from .surface import Caller, Surface, UsageError, the_caller
from .text import one_line
from .unlocking import retrieve

HANDLE = "vault:"
"""What a secret's name stands behind where the secret itself is meant."""

FIRST_DESCRIPTOR = 10
"""Those below are a shell's to redirect, so that they may be in use."""

LAST_DESCRIPTOR = 99

VARIABLE_BYTES = 128 * 1024 - 1
"""The longest `NAME=VALUE` of an environment (execve(2), MAX_ARG_STRLEN)."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,9}")
_WITH_HANDLE = re.compile(rf"(|--[A-Za-z0-9][A-Za-z0-9_.-]*=){HANDLE}(.*)", re.ASCII | re.DOTALL)
_ODD = re.compile(r"[^A-Za-z0-9_]")


class LendTo(Struct, frozen=True, kw_only=True):
    """Run a command that needs secrets, and keep them out of what it prints.

    --secret puts a secret into the command's environment, and --secret-fd into a file in memory that it reads through a
    descriptor. A handle among its arguments, as vault:deploy.token or --option=vault:deploy.token, becomes the path of
    such a file. No secret is ever in a command line. No shell is in between; the exit code is the command's, or 128 and
    the number of the signal that ended it.

    In what the command prints, [vault:NAME] takes the place of the secret's value: also of its forms in base64, URLs,
    JSON, HTML, a shell's quotes, hexadecimal digits and UTF-16. Where input and output are a terminal, the command gets
    one of its own.

    This guards against accidents: a secret in a transcript, a log, a history. It does not hold back a command that
    wants the secret to get out, and who may run the command may read the secret. Programs of the same user can see a
    running command's environment (/proc/PID/environ), and what it passes on to others; --secret-fd keeps it out of
    there.

    An agent is lent what is marked --agent-usable or --agent-readable; for another secret the command waits until a
    person allows it.
    """

    command: Annotated[tuple[str, ...], Meta(min_length=1, description="The command and its arguments, after --.")]
    secret: Annotated[
        tuple[str, ...],
        Meta(
            description="NAME or NAME=VARIABLE: in the environment, deploy.token as DEPLOY_TOKEN unless one is named."
        ),
    ] = ()
    secret_fd: Annotated[
        tuple[str, ...],
        Meta(
            description="NAME or NAME=N: to be read from descriptor N (0 is standard input). KEPT_FD_DEPLOY_TOKEN says "
            "which it is."
        ),
    ] = ()
    env: Annotated[tuple[str, ...], Meta(description="VARIABLE=vault:NAME: the same as --secret NAME=VARIABLE.")] = ()
    wait_seconds: Annotated[
        int, Meta(ge=0, le=600, description="How long an agent waits for a person's consent; 0: not at all.")
    ] = 120
    scrub: Annotated[bool, Meta(description="Keep the secrets out of what the command prints.")] = True
    pty: Annotated[bool, Meta(description="Give the command a terminal of its own where there is one.")] = True
    input: Annotated[bool, Meta(description="Ask for the password where the vault is locked.")] = True


class _Loan(NamedTuple):
    """A secret, and its place: a variable, or a descriptor."""

    name: str
    variable: str | None = None
    descriptor: int | None = None


def lend(wanted: LendTo, call: Caller, surface: Surface) -> int:
    """Run it."""
    here = the_caller(surface)
    loans = list(_of_variables(wanted))
    files = dict(_of_descriptors(wanted))
    command = tuple(_with_paths(wanted.command, files))
    loans += [_Loan(name, None, number) for name, number in files.items()]
    _refuse_doubles(loans)
    from ..vault_run.forms import forms, text_of  # noqa: PLC0415 - for this command alone

    names = dict.fromkeys(loan.name for loan in loans)
    values = {name: _lent(name, wanted, call, surface) for name in names}
    hidden = {name: forms(value) for name, value in values.items()} if wanted.scrub else {}
    short = next((name for name, found in hidden.items() if not found), None)
    if short is not None:
        raise UsageError(
            f"the value of {one_line(short)} is too short to be found in an output: it would be found everywhere",
            "--no-scrub runs the command, and passes on all that it prints.",
        )
    added = {_file_variable(name): str(number) for name, number in files.items()}
    added |= {loan.variable: _fitting(loan, text_of(values[loan.name])) for loan in loans if loan.variable is not None}
    contents = {number: text_of(values[name]).encode() for name, number in files.items()}
    return here.launch(Launch(command=command, added=added, files=contents, hidden=hidden, terminal=wanted.pty))


def _lent(name: str, wanted: LendTo, call: Caller, surface: Surface) -> Any:
    """Its value. A refusal says which it is about, since a command may be lent several."""
    try:
        request = RetrieveSecret(id=name, purpose="lend")
        return retrieve(request, call, surface, wait_seconds=wanted.wait_seconds, may_ask=wanted.input).value
    except (NotFound, Denied) as refusal:
        hint = _BEHIND if isinstance(refusal, NotFound) and "=" in name else refusal.hint
        raise type(refusal)(f"{one_line(name)}: {refusal.message}", hint=hint, **refusal.data) from None


def _of_variables(wanted: LendTo) -> Iterator[_Loan]:
    for text in wanted.secret:
        name, has_variable, variable = text.rpartition("=")
        if not has_variable or not _VARIABLE.fullmatch(variable):
            name, variable = text, _variable_of(text)
        yield _Loan(_named(name, "--secret"), variable)
    for text in wanted.env:
        variable, _, handle = text.partition("=")
        if not _VARIABLE.fullmatch(variable) or not handle.startswith(HANDLE):
            raise UsageError(
                "--env takes VARIABLE=vault:NAME",
                "Another variable is set by env: kept vault run ... -- env VARIABLE=VALUE COMMAND",
            )
        yield _Loan(_named(handle.removeprefix(HANDLE), "--env"), variable)


def _of_descriptors(wanted: LendTo) -> Iterator[tuple[str, int]]:
    """Each name once, with the number that was given, or else one that is free."""
    given: dict[str, int | None] = {}
    for text in wanted.secret_fd:
        name, has_number, number = text.rpartition("=")
        if not has_number or not _NUMBER.fullmatch(number):
            name, number = text, ""
        if number and (int(number) in (1, 2) or int(number) > LAST_DESCRIPTOR):
            raise UsageError(f"--secret-fd takes 0, or a number from 3 to {LAST_DESCRIPTOR}")
        if _named(name, "--secret-fd") in given:
            raise UsageError("--secret-fd names a secret twice")
        given[name] = int(number) if number else None
    for word in wanted.command[1:]:
        _, meant = _parts(word)
        if meant is not None:
            given.setdefault(_named(meant, "a handle"), None)
    taken = {number for number in given.values() if number is not None}
    free = (number for number in range(FIRST_DESCRIPTOR, LAST_DESCRIPTOR + 1) if number not in taken)
    for name, chosen in given.items():
        number_of = chosen if chosen is not None else next(free, None)
        if number_of is None:
            raise UsageError("too many secrets for one command")
        yield name, number_of


def _with_paths(command: tuple[str, ...], files: dict[str, int]) -> Iterator[str]:
    """The command, with the path of its file in the place of each handle."""
    program, *arguments = command
    yield program
    for word in arguments:
        option, name = _parts(word)
        yield word if name is None else f"{option}/dev/fd/{files[name]}"


def _parts(word: str) -> tuple[str, str | None]:
    """What stands before a handle in an argument (`--option=`, or nothing), and the name in it; None without one."""
    found = _WITH_HANDLE.fullmatch(word)
    return (found[1], found[2]) if found else (word, None)


def _refuse_doubles(loans: list[_Loan]) -> None:
    places = [loan.variable if loan.descriptor is None else loan.descriptor for loan in loans]
    places += [_file_variable(loan.name) for loan in loans if loan.descriptor is not None]
    double = next((place for place in places if places.count(place) > 1), None)
    if double is not None:
        raise UsageError(f"two secrets have the same place: {double}", "NAME=VARIABLE and NAME=N give them others.")


def _named(name: str, where: str) -> str:
    if not name:
        raise UsageError(f"{where} needs a secret's name")
    return name


def _variable_of(name: str) -> str:
    plain = _ODD.sub("_", name.upper())
    return f"_{plain}" if plain[:1].isdigit() else plain


def _file_variable(name: str) -> str:
    return f"KEPT_FD_{_ODD.sub('_', name.upper())}"


def _fitting(loan: _Loan, text: str) -> str:
    """The text, where an environment can hold it."""
    if "\0" in text:
        raise UsageError(f"the value of {one_line(loan.name)} has a NUL, which no environment can hold", _OTHERWISE)
    if len(f"{loan.variable}={text}".encode()) > VARIABLE_BYTES:
        raise UsageError(
            f"the value of {one_line(loan.name)} is longer than an environment can hold (128 KiB)", _OTHERWISE
        )
    return text


_BEHIND = (
    "Behind = stands a variable's name (letters, digits and _, no digit first), or with --secret-fd a number; anything "
    "else is taken as part of the secret's name."
)
_OTHERWISE = "--secret-fd lends it as a file."

LEND = Command(
    ("vault", "run"),
    LendTo,
    lend,
    by_position=("command",),
    as_typed=("command",),
    examples=(
        "kept vault run --secret deploy.token -- ./deploy --stage production",
        "kept vault run --secret db.password=PGPASSWORD -- psql -h db.example.org",
        "kept vault run --secret-fd registry=0 -- podman login --password-stdin registry.example.org",
        "kept vault run -- ssh-add vault:ssh.key",
    ),
)
