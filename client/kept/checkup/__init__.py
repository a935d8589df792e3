"""What a client sees of its own home without a daemon's help: for `kept doctor`, when nothing else answers.

Owns the looks from outside: folders, files, the log's last words, and whether a daemon answers at all. What needs the
database is the daemon's (`maintenance.check`), and is taken from its answer. Changes nothing, starts nothing, reads no
text that was stored, and waits for nobody longer than a few seconds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from msgspec import Struct

from ..paths import BadPlace, Paths
from ..wire.maintenance import Checkup, Finding
from . import files, folders, recoveries, wsl
from .daemon import Reached, reach
from .findings import of_text
from .journal import service
from .log import last_words

__all__ = ["Examination", "examine", "nowhere"]


class Examination(Struct, frozen=True, kw_only=True):
    """What was seen. `checkup` is what the daemon says itself, where one answers."""

    findings: tuple[Finding, ...]
    checkup: Checkup | None = None


def nowhere(fault: BadPlace) -> Examination:
    """There is no home to look at, since the environment names none that can be used."""
    return Examination(findings=(of_text("places", str(fault), "Set that variable to a path that can be used."),))


def examine(paths: Paths, environ: Mapping[str, str], version: str) -> Examination:
    """Look at the home at `paths`, and at its daemon. `environ` is what the paths were found in; `version` is the
    client's own."""
    found = [*folders.look(paths, environ)]
    reached = reach(paths, environ, version)
    told = {finding.what for finding in found}
    # What is wrong with its folder is told already, with more of a next step.
    found += [finding for finding in reached.findings if not (finding.what == "socket" and "socket folder" in told)]
    if reached.checkup is None:
        found += _unattended(paths, environ, reached)
    reports = reached.checkup.recoveries if reached.checkup else recoveries.read(paths.data_dir)
    found += [*recoveries.tell(reports), *recoveries.quarantined(paths.data_dir, reports)]
    found += wsl.look(paths, environ)
    return Examination(findings=tuple(found), checkup=reached.checkup)


def _unattended(paths: Paths, environ: Mapping[str, str], reached: Reached) -> list[Finding]:
    """What the daemon would tell, as far as the files themselves show it."""
    if os.path.lexists(paths.data_dir) and not folders.is_readable(paths.data_dir):
        return []
    found = [*files.config(paths.config_file), *files.database(paths, runs=reached.runs)]
    found += files.ending(paths.data_dir, runs=reached.runs)
    return [
        *found,
        *files.room(paths.data_dir),
        *files.backups(paths.backups),
        *last_words(paths.log),
        *service(environ),
    ]
