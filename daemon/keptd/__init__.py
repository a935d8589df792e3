"""keptd: the daemon that owns all of kept's state."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("kept")
except PackageNotFoundError:  # run from a source tree that was never installed
    VERSION = "0.0.0"
