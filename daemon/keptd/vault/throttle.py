"""Wrong passwords: counted on disk before they are told, and slower each time.

The first three cost nothing, then each next one waits twice as long, from a second to a quarter of an hour. The wait is
measured by the boot clock; after a restart by the wall clock, or by the boot clock from the first look in that run,
whichever is further: a clock that was set back makes no wait longer than it was.

Those of callers that said that they are agents are counted apart, and slow down agents alone: one that guesses keeps
nobody from their own vault. What a full or failing disk doesn't take is counted in memory; a restart forgets that.
"""

from __future__ import annotations

import apsw
import structlog

from kept.wire.errors import KeptError

from ..clock import SECOND
from ..store.changes import ChangeLog
from . import audit, store
from .audit import Note
from .store import Header
from .visit import ENTITY, Visit

REFUSED = "vault.refused"

FREE = 3
"""Wrong passwords that cost nothing."""

LONGEST = 900
"""Seconds that a password waits at most."""

log = structlog.get_logger(__name__)


def pause(failures: int) -> int:
    """Seconds to wait after so many wrong passwords."""
    return 0 if failures < FREE else min(LONGEST, 1 << min(failures - FREE, 20))


def failures(visit: Visit, *, of_agents: bool) -> int:
    """Wrong passwords of agents, or of all others, since the last right one."""
    return store.failures(visit.store.inline, of_agents).number + visit.keyring.wrong[of_agents].uncounted


def seconds_left(visit: Visit) -> float:
    """How long the caller's next password has to wait."""
    wrong = visit.keyring.wrong[visit.is_agent]
    wait = pause(failures(visit, of_agents=visit.is_agent))
    boot = visit.clock.boot()
    if wrong.last is not None:
        return max(0.0, wait - (boot - wrong.last))
    if wrong.looked is None:
        wrong.looked = boot
    at = store.failures(visit.store.inline, visit.is_agent).at
    return max(0.0, wait - max((visit.clock.now() - at) / SECOND, boot - wrong.looked))


async def count(visit: Visit, action: str, header: Header) -> int:
    """One more of the caller's kind, in the count, the audit list and the change log; how many that makes."""
    wrong = visit.keyring.wrong[visit.is_agent]

    def step(db: apsw.Connection, changes: ChangeLog, now: int) -> None:
        store.count_failures(db, visit.is_agent, wrong.uncounted + 1, now)
        audit.add(db, now, visit.caller, Note(action, outcome="wrong_password"))
        changes.add(ENTITY, header.id, notice=REFUSED)

    try:
        await visit.write(step, frees_space=True)
        wrong.uncounted = 0
    except KeptError as fault:
        # Be it a full disk, or another program that has the database: what can't be counted there costs as much.
        wrong.uncounted += 1
        log.warning("a wrong password is counted in memory alone", reason=fault.type)
    wrong.last = visit.clock.boot()
    return failures(visit, of_agents=visit.is_agent)
