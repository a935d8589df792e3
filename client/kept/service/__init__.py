"""kept as a service of the systemd user manager: the units of one home, and what the manager is asked to do with them.

Owns the two unit files that `kept daemon install` writes, and nothing else in the manager's folder. Runs in the client:
the daemon never starts a program. Refuses to touch a unit that somebody has edited, unless it is told to. The two files
beside this one are the units as they are shipped, and what is rendered is made from them.
"""

from __future__ import annotations

from .changes import Change, FileChange
from .control import Service, State, by_hand, refusal

__all__ = ["Change", "FileChange", "Service", "State", "by_hand", "refusal"]
