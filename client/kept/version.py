"""The version of the distribution, of which the client and the daemon are parts. pyproject.toml reads it here.

A constant: asking importlib.metadata is slow, and tells a daemon that runs on after an upgrade the version that it is
not. Imports nothing, since the thin script loads it on a terminal.
"""

from __future__ import annotations

VERSION = "0.1.0"


def differing(daemon: str) -> str:
    """A line for a person whose daemon is of another version than the client; nothing where both are of one."""
    return "" if daemon == VERSION else told(VERSION, daemon)


def told(client: str, daemon: str) -> str:
    """That line."""
    return f"keptd {daemon} is running, kept is {client}: kept daemon restart\n"
