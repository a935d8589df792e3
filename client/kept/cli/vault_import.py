"""`kept vault import`: secrets out of another program's encrypted files.

It runs in the caller's process, which opens the files (`vault_folder`) and asks for their password.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from ..wire.errors import Locked
from ..wire.vault import UnlockVault
from ..wire.vault_import import FilePassword, ImportedSecret, ImportedVault, ImportVault, OnConflict
from .fields import fields_of
from .parse import Command
from .render import show_json
from .secret_params import asked
from .surface import FINE, Caller, Here, Surface, the_caller
from .text import clean, one_line
from .vault_ahead import may_try, unlocked

_SHOWN = 50
"""Files that are told one by one."""

_WHY = {
    "taken": "the name stands for something else; --on-conflict rename keeps both",
    "renamed": "is its name, since the other one was taken",
}


class ImportFolder(Struct, frozen=True, kw_only=True):
    """Take over the secrets of a vault that lies in a folder's files, such as ActiveMirrorOS makes it.

    Its password is asked for (--password-fd N reads it from a descriptor); kept's own vault has to be unlocked. All
    that can be read takes effect in one step, and the files stay as they are: remove them yourself when you have seen
    that all is there. An entry that is there already is left alone, so the command may be repeated.
    """

    folder: Annotated[str, Meta(min_length=1, max_length=4096, description="The folder of the other vault.")]
    password: FilePassword | UnsetType = UNSET
    on_conflict: OnConflict = "skip"


def run(wanted: ImportFolder, call: Caller, surface: Surface) -> int:
    """Read the files, have them opened, and tell what came of each."""
    here = the_caller(surface)
    from .vault_folder import files_of  # noqa: PLC0415 - it opens files, which the daemon must never do

    files = files_of(wanted.folder, surface.note)
    try:
        unlocked(wanted, call)
    except Locked:
        if surface.json or not here.attended():
            raise
        may_try(wanted, call)
        surface.err("kept's own vault is locked\n")
        call(UnlockVault(password=_ask(UnlockVault, "vault unlock", here)))
    password = wanted.password
    if password is UNSET:
        password = _ask(ImportFolder, "vault import", here)
    imported = call(ImportVault(password=password, files=files, on_conflict=wanted.on_conflict))
    if surface.json:
        show_json(imported, surface)
    else:
        _tell(imported, surface)
    return FINE


def _ask(params: type[Struct], command: str, here: Here) -> str:
    (password,) = (field for field in fields_of(params) if field.secret)
    return here.secret(asked(password, command, None))


def _tell(imported: ImportedVault, surface: Surface) -> None:
    there = sum(item.action == "same" for item in imported.items)
    rest = [item for item in imported.items if item.action not in ("stored", "same")]
    for item in rest[:_SHOWN]:
        surface.line(f"{clean(item.action):<8}  {_what(item)}")
    if len(rest) > _SHOWN:
        surface.line(f"... and {len(rest) - _SHOWN:,} more; --json shows all")
    entries = f"{imported.stored:,} {'entry' if imported.stored == 1 else 'entries'}"
    surface.line(f"stored {entries}" + (f"; {there:,} were there already" if there else ""))


def _what(item: ImportedSecret) -> str:
    why = item.why or _WHY.get(item.action, "")
    name = f" {one_line(item.name)}" if item.name else ""
    return f"{one_line(item.file)}:{name} {clean(why)}".rstrip()


VAULT_IMPORT = Command(
    ("vault", "import"),
    ImportFolder,
    run,
    by_position=("folder",),
    examples=("kept vault import ~/vault", "kept vault import ~/vault --on-conflict rename"),
)
