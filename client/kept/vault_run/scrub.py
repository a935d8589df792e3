"""Takes secrets out of a stream of bytes, whatever pieces it comes in.

Pure: bytes in, bytes out. Promises that no form of a secret is ever in what it gave, that everything else is in it byte
by byte, and that what it gives
does not depend on the pieces, as long as nobody calls `pause`. Holds back only what may still become a secret.

Why no form is in the output: what stands between two marks is a stretch of the input, in which every form that is whole
was replaced; and no form has a beginning or an end in common with a mark, holds one, or is in one, so that none can
come about across them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

_MARKS = (b"[vault:%s]", b"[vault]", b"*****", b"<hidden>", b"#####", b"~~~~~", b"\xef\xbf\xbd" * 3)
"""What stands in a secret's place. The first that has nothing to do with any of the secrets."""

_FEW = 8
"""Bytes of a form that are looked for first."""


SHOWN_BYTES = 4
"""The most that a pause shows of what may be a secret. The end of a question has that much in common with one by
chance, and hardly more."""


class CannotHide(ValueError):
    """No mark can be told from the secrets themselves."""


class Scrubber:
    """One stream. `hidden` has the forms of each secret, by its name; each form has two bytes at least.

    Raises `CannotHide` where the secrets hold all that could stand in their place.
    """

    def __init__(self, hidden: Mapping[str, Iterable[bytes]]) -> None:
        named = {form: name for name, forms in hidden.items() for form in forms}
        marks = {name: _mark(name, named) for name in set(named.values())}
        self._marks = {form: marks[name] for form, name in named.items()}
        # Where several fit at one place, the longest counts.
        self._forms = sorted(named, key=lambda form: (-len(form), form))
        self._begins = {form[:length] for form in named for length in range(1, _FEW)}
        """All that the last few bytes of what is held could be of a form."""
        self._held = b""
        self._shown = 0
        """How many bytes at the beginning of what is held were given already (`pause`)."""

    def feed(self, piece: bytes) -> bytes:
        """What can be given now."""
        self._held += piece
        return b"".join(self._decided(final=False))

    def pause(self) -> bytes:
        """What is given of what is held, when nothing has come for a while: a question waits for an answer. Of a form
        half is given at most, and no more than `SHOWN_BYTES`; when the rest comes after all, a mark takes its place."""
        bounds = [at for at, form in self._begun(0) if len(self._held) - at > min(len(form) // 2, SHOWN_BYTES)]
        # One that is whole waits to be told from a longer one.
        whole, form = self._next(self._found(), 0)
        end = min([*bounds, whole if form else len(self._held), len(self._held)])
        given = self._held[self._shown : end]
        self._shown = max(self._shown, end)
        return given

    def close(self) -> bytes:
        """The rest, at the end of the stream."""
        return b"".join(self._decided(final=True))

    @property
    def holds(self) -> bool:
        """Whether something is held that was not given."""
        return len(self._held) > self._shown

    def _decided(self, *, final: bool) -> Iterator[bytes]:
        """What is given, of what is held, up to where a form has begun that may still become whole."""
        nearest = self._found()
        at = 0
        end = self._open(0, final=final)
        while True:
            if end < at:
                # What had begun there was the end of a form.
                end = self._open(at, final=final)
            place, form = self._next(nearest, at)
            if not form or place >= end:
                break
            yield self._held[max(at, self._shown) : place]
            yield self._marks[form]
            at = place + len(form)
        yield self._held[max(at, self._shown) : end]
        self._shown = max(0, self._shown - end)
        self._held = self._held[end:]

    def _found(self) -> dict[bytes, int]:
        """The first place of each form that is in what is held, the longest first."""
        found = ((form, self._held.find(form)) for form in self._forms)
        return {form: place for form, place in found if place >= 0}

    def _next(self, nearest: dict[bytes, int], at: int) -> tuple[int, bytes]:
        """The first place from `at` on where a form stands, and the longest there; no form where there is none.
        `nearest` is what was `_found`, and is brought up to date."""
        best, longest = len(self._held), b""
        for form, known in tuple(nearest.items()):
            place = known if known >= at else self._held.find(form, at)
            if place < 0:
                del nearest[form]
                continue
            nearest[form] = place
            if place < best:
                best, longest = place, form
        return best, longest

    def _open(self, at: int, *, final: bool) -> int:
        """The first place from `at` on where something has begun that may still become a form; the end where nothing
        has, or where nothing more comes."""
        return min((place for place, _ in (() if final else self._begun(at))), default=len(self._held))

    def _begun(self, at: int) -> Iterator[tuple[int, bytes]]:
        """For each form that the end of what is held could be the beginning of: the first such place from `at` on."""
        size = len(self._held)
        ends = [place for place in range(max(0, size - _FEW + 1), size) if self._held[place:] in self._begins]
        for form in self._forms:
            place = _beginning(self._held, form, max(at, size - len(form) + 1), ends)
            if place is not None:
                yield place, form


def _beginning(held: bytes, form: bytes, start: int, ends: Iterable[int]) -> int | None:
    """The first place from `start` on from which all that follows is the beginning of `form`. `ends` has those among
    the last that may be."""
    head = form[:_FEW]
    place = held.find(head, start)
    while place >= 0:
        if form.startswith(held[place:]):
            return place
        place = held.find(head, place + 1)
    for place in ends:
        if place >= start and form.startswith(held[place:]):
            return place
    return None


def _mark(name: str, forms: Iterable[bytes]) -> bytes:
    marks = [mark % name.encode() if b"%s" in mark else mark for mark in _MARKS]
    for mark in marks:
        if not any(_touch(form, mark) for form in forms):
            return mark
    raise CannotHide


def _touch(form: bytes, mark: bytes) -> bool:
    """Whether one holds the other, or begins as the other ends."""
    if form in mark or mark in form:
        return True
    lengths = range(1, min(len(form), len(mark)))
    return any(form.endswith(mark[:length]) or form.startswith(mark[-length:]) for length in lengths)
