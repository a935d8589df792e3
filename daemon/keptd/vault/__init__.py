"""The room of secrets: names, values and all that is known of them, sealed under a password.

Owns the tables `vault`, `vault_spare`, `vault_entry`, `vault_guard`, `vault_receipt`, `vault_withheld` and
`vault_audit`. Refuses to store anything of a secret in clear but its size, its id and when something was done with it,
and to put more than ids into the change log and the audit list.

Where things are:

- `cipher`, `keys`, `recovery_code`, `head`: how bytes are sealed, which keys there are, the code on paper, and the hash
  over everything. They know no table.
- `schema`, `store`, `audit`: the tables; `audit_queue`: looks that are not in the audit list yet
- `names`, `quota`: what a new entry may be called, and how many there may be
- `entries`, `inspection`: an entry between its two forms; a look at all of them
- `keyring`, `search`, `consent`: what is in memory while the vault is unlocked: keys, entries, agents that wait
- `rights`: what agents may, where a backup comes back, and in a damaged vault
- `visit`: a request at the vault, and how a change is made
- `opening`, `throttle`, `changing` (`key_methods`): passwords, unlocking, wrong passwords, other keys
- `methods`, `entry_methods`: entries shown and changed; `jobs`: what is done from time to time
- `file_vault`, `import_methods`: entries out of the files of other vaults
- `background`: locks when the time is over; `sleep`: before the machine sleeps
"""

from __future__ import annotations

import apsw

from ..domain import Carry, Domain
from ..jobs.declare import collect_jobs
from ..rpc.methods import collect
from . import audit, background, entry_methods, import_methods, jobs, key_methods, methods, rights, store
from .schema import LOCAL, MIGRATIONS
from .visit import ENTRY


def _going_on(db: apsw.Connection) -> Carry:
    carries = audit.going_on(db), rights.going_on(db)

    def carry(successor: apsw.Connection) -> None:
        for each in carries:
            each(successor)

    return carry


def _derive(db: apsw.Connection) -> None:
    store.derive(db)
    rights.recovered(db)


DOMAIN = Domain(
    name="vault",
    migrations=MIGRATIONS,
    handlers=tuple(
        handler for module in (methods, entry_methods, key_methods, import_methods) for handler in collect(module)
    ),
    jobs=collect_jobs(jobs),
    derive=_derive,
    beside=background.follow,
    endings=frozenset(("vault.delete",)),
    local_tables=LOCAL,
    going_on=_going_on,
    entities=frozenset((ENTRY,)),
)
