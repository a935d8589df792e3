"""The files of another program's vault, out of a folder. Follows no link, waits for no pipe, reads no more than fits
into one message, and opens nothing but what such a vault has."""

from __future__ import annotations

import errno
import os
from base64 import b64encode
from collections.abc import Callable, Iterator

from ..regular import beginning
from ..wire.vault_import import FILES, FILES_BYTES, INDEX, SUFFIX, VaultFile
from .surface import UsageError
from .text import one_line

_IN_PARTS = "Copy some of the entries, with the index, into a folder of their own, and import one folder after another."


def files_of(folder: str, note: Callable[[str], object]) -> tuple[VaultFile, ...]:
    """What lies in it, by name; `note` is told what is left out. Raises `UsageError`."""
    try:
        names = sorted(name for name in os.listdir(folder) if name == INDEX or name.endswith(SUFFIX))
    except OSError as fault:
        raise UsageError(f"{one_line(folder)}: {fault.strerror}") from None
    if not names:
        raise UsageError(f"there is no vault in {one_line(folder)}", f"It would have {INDEX} and files NAME{SUFFIX}.")
    if len(names) > FILES:
        raise UsageError(f"{len(names):,} files are more than {FILES:,}, the most of one import", _IN_PARTS)
    files = tuple(_read(folder, names, note))
    if not files:
        raise UsageError(f"nothing of the vault in {one_line(folder)} can be read")
    return files


def _read(folder: str, names: list[str], note: Callable[[str], object]) -> Iterator[VaultFile]:
    left = FILES_BYTES
    for name in names:
        try:
            name.encode()
            data = beginning(os.path.join(folder, name), left + 1)
        except UnicodeEncodeError:
            note(f"left out: {one_line(name)}: its name is not UTF-8")
            continue
        except OSError as fault:
            why = "it is a link, and links are not followed" if fault.errno == errno.ELOOP else fault.strerror
            note(f"left out: {one_line(name)}: {why}")
            continue
        left -= len(data)
        if left < 0:
            raise UsageError(f"the files hold more than {FILES_BYTES:,} bytes, the most of one import", _IN_PARTS)
        yield VaultFile(name=name, data=b64encode(data).decode())
