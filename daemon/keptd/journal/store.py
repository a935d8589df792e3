"""The journal's tables as functions, for its handlers and for the rooms above. The SQL is in a file for each noun."""

from __future__ import annotations

from .actions import Moved, move_out
from .actions import after as actions_after
from .actions import count as count_actions
from .actions import forget as forget_actions
from .actions import id_at as action_id_at
from .actions import last as last_action
from .actions import listed as list_actions
from .actions import log as log_action
from .actions import recent as recent_actions
from .contradictions import Contradiction, contradictions
from .decisions import add as add_decision
from .decisions import count_open as count_open_decisions
from .decisions import derive
from .decisions import get as get_decision
from .decisions import index_all as index_decisions
from .decisions import listed as list_decisions
from .decisions import open_ones as open_decisions
from .decisions import resolve as resolve_decision
from .decisions import search as search_decisions
from .decisions import supersede as supersede_decision
from .errors import count_unresolved as count_unresolved_errors
from .errors import listed as list_errors
from .errors import record as record_error
from .errors import resolve as resolve_error
from .errors import unresolved as unresolved_errors

__all__ = [
    "Contradiction",
    "Moved",
    "action_id_at",
    "actions_after",
    "add_decision",
    "contradictions",
    "count_actions",
    "count_open_decisions",
    "count_unresolved_errors",
    "derive",
    "forget_actions",
    "get_decision",
    "index_decisions",
    "last_action",
    "list_actions",
    "list_decisions",
    "list_errors",
    "log_action",
    "move_out",
    "open_decisions",
    "recent_actions",
    "record_error",
    "resolve_decision",
    "resolve_error",
    "search_decisions",
    "supersede_decision",
    "unresolved_errors",
]
