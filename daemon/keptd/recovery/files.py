"""The files beside the database at a start: what is missing comes back from the newest backup of the same line of time,
and where the last run met damage, each is read, and a damaged one put together from what can be read and the backup.

A damaged file goes to quarantine as it is. Without a backup that has it, the report says what is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import structlog

from kept.paths import QUARANTINE, REPORTS
from kept.wire.maintenance import NOTHING_LOST

from ..backups.beside import copy_in, damaged, is_on_line, lay, set_aside
from ..backups.place import Found, Place
from ..backups.work import Work
from ..clock import Clock, to_time
from ..domain import Domain
from ..home import make_private, write_whole
from ..store import Store
from .report import FORM, Report, encoded

log = structlog.get_logger(__name__)


class Mender(NamedTuple):
    """Of one data folder, when its database is open and imports that a crash interrupted are settled. `mend` blocks."""

    place: Place
    store: Store
    rooms: Sequence[Domain]
    clock: Clock

    def mend(self, *, thorough: bool) -> Report | None:
        """Bring back what is missing and, where `thorough`, what is damaged; None where nothing was, or where the disk
        has no room for it. Raises what apsw raises."""
        try:
            return self._mend(thorough=thorough)
        except OSError as fault:
            log.error("files can't be recovered now", reason=fault.strerror)  # noqa: TRY400 - the reason says it all.
            return None

    def _mend(self, *, thorough: bool) -> Report | None:
        data = self.store.path.parent
        at = to_time(self.clock.now())
        quarantine = data / QUARANTINE / f"{at.strftime(FORM)}-files"
        backups = self._of_this_line()
        bad = damaged(data, self.rooms) if thorough else []
        missing = [name for name in _names(backups[:1]) if not (data / name).exists()]
        lost = {name: self._salvage(name, backups, quarantine) for name in bad}
        lost |= {name: self._bring_back(name, backups) for name in missing}
        if not bad and not missing:
            return None
        found = Report(
            at=at,
            reason=_reason(bad, missing),
            quarantine=str(quarantine) if bad else "",
            backup_id=backups[0].id if backups else None,
            salvaged={},
            restored={},
            missing=(),
            lost=_sentence({name: words for name, words in lost.items() if words}),
        )
        log.error("files recovered", damaged=bad, missing=missing, quarantine=found.quarantine, backup=found.backup_id)
        self._keep(found)
        return found

    def _bring_back(self, name: str, backups: Sequence[Found]) -> str:
        """What is lost of a missing file."""
        work = Work(self.clock)
        copied = copy_in(backups, name, work)
        if copied is None:
            return "all of it"
        lay(copied, self.store.path.parent / name, work)
        return ""

    def _salvage(self, name: str, backups: Sequence[Found], quarantine: Path) -> str:
        """What is lost of a damaged file."""
        path, kept = self.store.path.parent / name, quarantine / name
        set_aside(path, kept)
        copied = copy_in(backups, name, Work(self.clock))
        for room in self.rooms:
            if path.parent.name in room.folders and room.salvage_file is not None:
                return room.salvage_file(kept, copied, path)
        path.unlink()
        return "all of it"

    def _of_this_line(self) -> list[Found]:
        """The backups that know of files, newest first."""
        return [
            found
            for found in self.place.listed()
            if found.problem is None
            and found.manifest is not None
            and found.manifest.files is not None
            and is_on_line(self.store.inline, found.manifest)
        ]

    def _keep(self, found: Report) -> None:
        folder = self.store.path.with_name(REPORTS)
        make_private(folder)
        write_whole(folder / f"{found.stamp}-files.json", encoded(found))


def _names(backups: Sequence[Found]) -> list[str]:
    return [file.name for found in backups if found.manifest is not None for file in found.manifest.files or ()]


def _reason(bad: Sequence[str], missing: Sequence[str]) -> str:
    parts = [f"damaged: {', '.join(bad)}"] if bad else []
    parts += [f"missing: {', '.join(missing)}"] if missing else []
    return f"files beside the database are {'; '.join(parts)}"


def _sentence(lost: dict[str, str]) -> str:
    if not lost:
        return NOTHING_LOST
    return f"Lost: {'; '.join(f'{words}, of {name}' for name, words in sorted(lost.items()))}."
