"""keptd: the daemon that owns all of kept's state."""

from __future__ import annotations

import sys

from kept.version import VERSION

__all__ = ["VERSION"]


def _import_structlog() -> None:
    """Import structlog without rich, which it loads wherever it is installed, to draw tracebacks in colour. kept's log
    draws its own, without values, and rich would be a quarter of all that a start imports."""
    if "structlog" in sys.modules or "rich" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment] # what the import system knows as "there is none"
    try:
        import structlog  # noqa: F401, PLC0415 - the order is the point
    finally:
        del sys.modules["rich"]


_import_structlog()
