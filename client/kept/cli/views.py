"""What a view is: how a result reads where a plain entity or a table would not do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from .surface import Surface

View = Callable[[Any, Surface], None]

Views = Mapping[type[Struct], View]
"""By the class of the result, or of the call where several have the same."""


def views(*parts: Views) -> Views:
    """All of them as one, which nobody changes."""
    return MappingProxyType({shown: view for part in parts for shown, view in part.items()})
