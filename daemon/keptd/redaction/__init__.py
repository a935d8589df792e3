"""Finds what looks like a credential in the text of a call, so that it is refused or masked before it is written.

Owns the kinds of credential that are looked for (`kinds()`), the search and the masking. It decides nothing: the caller
refuses, masks or lets pass. Refuses to carry the text that it found: a finding is a place and a kind.

Looks at text as it stands. A secret inside base64, percent-encoding or another encoding is not found.
"""

from .rules import Kind, kinds
from .scan import Finding, mask_call, scan_call, scan_text

__all__ = ["Finding", "Kind", "kinds", "mask_call", "scan_call", "scan_text"]
