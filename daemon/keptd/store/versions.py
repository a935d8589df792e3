"""Versions: the one rule by which a change that expects a version is refused."""

from __future__ import annotations

from kept.wire.errors import Conflict


def check_version(what: str, version: int, wanted: int | None) -> None:
    """Raises `Conflict`, with the present version, unless the caller wants that one or any.

    `what` names the kind of entity (`entry`). A version of 0, present or wanted, means that there is none.
    """
    if wanted is None or wanted == version:
        return
    if version:
        expected = f"not version {wanted}" if wanted else "and is not new"
        raise Conflict(f"the {what} has version {version}, {expected}", version=version)
    raise Conflict(f"there is no such {what}, so none with version {wanted}", version=0)
