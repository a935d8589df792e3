"""How many tokens a text takes in a prompt, estimated: one rule for all that fits a budget.

A quarter of the UTF-8 bytes, rounded up, of each line with its end; the common rule of thumb for English. The sum over
lines is never less than the estimate of the whole.
"""

from __future__ import annotations

BYTES_PER_TOKEN = 4


def tokens_of(line: str) -> int:
    """The estimate for a line, with its end."""
    return -(-(len(line.encode()) + 1) // BYTES_PER_TOKEN)
