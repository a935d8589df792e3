"""vault.import: secrets out of another program's encrypted files. The client reads them; the daemon opens no path."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from . import Control
from .errors import Denied, InvalidParams, QuotaExceeded
from .vault import CHANGES, EntryId, Password

INDEX = ".vault_index.enc"
SUFFIX = ".vault"
"""What the files of such a vault are called: its index, and an entry's name with this behind it."""

FILES = 10_000
"""The most files of one import."""

FILES_BYTES = 11 * 1024 * 1024
"""The most that they hold together: with base64 and all else they have to fit into one message of 16 MiB."""


class VaultFile(Struct, frozen=True, kw_only=True):
    """One file of a vault, as it is."""

    name: Annotated[
        str, Meta(min_length=1, max_length=255, pattern="^[^/\\u0000]*$", description="Its name, without folders.")
    ]
    data: Annotated[str, Meta(max_length=15_728_640, description="What it holds, in base64.")]


class ImportedSecret(Struct, frozen=True, kw_only=True):
    """What became of one file, or of one that should be there."""

    file: str
    action: Annotated[
        str,
        Meta(
            description="`stored`, `renamed` (stored under another name: its own was taken, or `why` says more), "
            "`same` (it was there already), `taken` (the name stands for something else) or `unread`."
        ),
    ]
    name: str | None = None
    """The name that it has now; None where it could not be read."""
    id: EntryId | None = None
    """The entry; None where nothing was stored."""
    why: str | None = None
    """Why it could not be read, or was renamed where its name wasn't taken."""


class ImportedVault(Struct, frozen=True, kw_only=True):
    """What an import brought, file by file."""

    items: tuple[ImportedSecret, ...]
    stored: int
    """How many entries are new."""


OnConflict = Annotated[
    Literal["skip", "rename"],
    Meta(description="What to do with an entry whose name stands for something else: leave it out, or number it."),
]
FilePassword = Annotated[Password, Meta(description="The password of the vault in the files.", extra={"secret": True})]


class ImportVault(Control[ImportedVault], frozen=True, kw_only=True):
    """Take over the secrets of a vault that lies in files: AES-256-GCM under a password by PBKDF2-SHA-256.

    All that can be read takes effect in one step; the files stay as they are. What is there already, under the same
    name and with the same value, is left alone, so that an import may be repeated. No imported entry is agent_readable.
    A name loses what vault.store would refuse in it, such as characters that show nothing.
    `$/progress` tells how far it is.
    """

    method = "vault.import"
    event = "vault.imported"
    is_repeatable = True
    errors = (*CHANGES, Denied, InvalidParams, QuotaExceeded)

    password: FilePassword
    files: Annotated[
        tuple[VaultFile, ...],
        Meta(min_length=1, max_length=FILES, description="Its files: `.vault_index.enc`, and `NAME.vault` for each."),
    ]
    on_conflict: OnConflict = "skip"
