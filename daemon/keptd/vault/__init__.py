"""The room of secrets: names, values and all that is known of them, sealed under a password.

Owns the tables `vault`, `vault_spare`, `vault_entry`, `vault_guard`, `vault_receipt` and `vault_audit`. Refuses to
store anything of a secret in clear but its size, its id and when something was done with it, and to put more than ids
into the change log and the audit list.

Where things are:

- `cipher`, `keys`, `recovery_code`, `head`: how bytes are sealed, which keys there are, the code on paper, and the hash
  over everything. They know no table.
- `schema`, `store`, `audit`: the tables
- `names`: what a new entry may be called
- `entries`, `inside`: an entry between its two forms; a look at all of them
- `keyring`, `search`, `asking`: what is in memory while the vault is unlocked: keys, entries, agents that wait
- `visit`: a request at the vault, and how a change is made
- `opening`, `changing` (`key_methods`): passwords, unlocking, other keys
- `methods`, `entry_methods`: entries shown and changed; `jobs`: the lock that falls shut
- `file_vault`, `import_methods`: entries out of the files of other vaults
- `sleep`: locks before the machine sleeps
"""

from __future__ import annotations

from ..domain import Domain
from ..jobs.declare import collect_jobs
from ..rpc.methods import collect
from . import audit, beside, entry_methods, import_methods, jobs, key_methods, methods, store
from .schema import LOCAL, MIGRATIONS
from .visit import ENTRY

DOMAIN = Domain(
    name="vault",
    migrations=MIGRATIONS,
    handlers=tuple(
        handler for module in (methods, entry_methods, key_methods, import_methods) for handler in collect(module)
    ),
    jobs=collect_jobs(jobs),
    derive=store.derive,
    beside=beside.follow,
    endings=frozenset(("vault.delete",)),
    local_tables=LOCAL,
    going_on=audit.going_on,
    entities=frozenset((ENTRY,)),
)
