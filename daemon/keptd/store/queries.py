"""What a query looks for: its terms, each with the forms in which a text may have it, as FTS5 strings.

Owns the meaning of the syntaxes `words`, `prefix` and `phrase`. Nothing that a user writes in them is syntax of FTS5:
every form is a quoted string.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import apsw

from . import scripts
from .english import is_stop_word, other_forms, stems_of_beginning, without_possessive

TERMS = 32
"""Distinct terms of a query that count; those after them are ignored."""

_TOKENIZER = ("porter", "unicode61", "remove_diacritics", "2")
TOKENIZE = " ".join(_TOKENIZER)
"""The tokenizer of every index, as SQL names it."""


class Form(NamedTuple):
    """One way to write a term: its stems side by side; the last may be only the beginning of one."""

    stems: tuple[str, ...]
    quoted: str
    is_beginning: bool


class Term(NamedTuple):
    """Something to look for, in any of its forms."""

    forms: tuple[Form, ...]

    @property
    def expression(self) -> str:
        """As FTS5 reads it."""
        quoted = " OR ".join(form.quoted for form in self.forms)
        return quoted if len(self.forms) == 1 else f"({quoted})"


def tokenizer(db: apsw.Connection) -> apsw.FTS5Tokenizer:
    """The tokenizer of every index."""
    return db.fts5_tokenizer(_TOKENIZER[0], list(_TOKENIZER[1:]))


def terms(db: apsw.Connection, query: str, syntax: str) -> list[Term]:
    """The terms of a query.

    With `words`, those that tell nothing (`english.STOP_WORDS`) are left out where others remain. With `prefix`, the
    last word is a beginning. With `phrase`, all of it is one term.
    """
    cut = tokenizer(db)
    query = query.replace("\0", " ")  # It would end the expression for FTS5.
    if syntax == "phrase":
        forms = _forms(cut, [query], is_beginning=False)
        return [Term(forms)] if forms else []
    words = query.split()
    last = words.pop() if syntax == "prefix" and words else None
    telling = [word for word in words if not is_stop_word(word)]
    found: dict[tuple[str, ...], Term] = {}
    for word in telling or ([] if last else words):
        own = without_possessive(word)
        _add(found, _forms(cut, [own, *other_forms(own)], is_beginning=False))
    if last is not None:
        _add(found, _beginning(cut, last))
    return list(found.values())


def stems(cut: apsw.FTS5Tokenizer, text: str) -> tuple[str, ...]:
    """The stems of a text that was prepared."""
    found = cut(text.encode(), apsw.FTS5_TOKENIZE_QUERY, None, include_offsets=False, include_colocated=False)
    return tuple(map(str, found))


def _add(found: dict[tuple[str, ...], Term], forms: tuple[Form, ...]) -> None:
    if forms and len(found) < TERMS:
        found.setdefault(forms[0].stems, Term(forms))


def _beginning(cut: apsw.FTS5Tokenizer, word: str) -> tuple[Form, ...]:
    """The last word as one types it. The index has stems, so that what a stemmer leaves of it counts as well."""
    first = _forms(cut, [word], is_beginning=True)
    if len(first) != 1 or len(first[0].stems) != 1:
        return first
    bare = "".join(letter for letter in word.lower() if letter.isalnum())
    return (*first, *_distinct(_forms(cut, stems_of_beginning(bare), is_beginning=False), first))


def _forms(cut: apsw.FTS5Tokenizer, texts: Sequence[str], *, is_beginning: bool) -> tuple[Form, ...]:
    """Each text as a form of one term; a run of letters without spaces also as rows have it that were indexed whole,
    before runs were cut into pairs."""
    made: list[Form] = []
    for text in texts:
        wanted = scripts.wanted(text)
        made.append(_form(cut, wanted.text, is_beginning=is_beginning or wanted.is_beginning))
        if scripts.has_runs(text):
            made.append(_form(cut, text, is_beginning=is_beginning))
    return tuple(_distinct((form for form in made if form.stems), ()))


def _form(cut: apsw.FTS5Tokenizer, text: str, *, is_beginning: bool) -> Form:
    quoted = '"' + text.replace('"', '""') + '"'
    return Form(stems(cut, text), quoted + "*" if is_beginning else quoted, is_beginning)


def _distinct(forms: Iterable[Form], present: Iterable[Form]) -> list[Form]:
    """The forms that differ in their stems from one another, and from those present."""
    found = {form.stems: form for form in present}
    own: dict[tuple[str, ...], Form] = {}
    for form in forms:
        if form.stems not in found:
            own.setdefault(form.stems, form)
    return list(own.values())
