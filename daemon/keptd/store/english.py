"""What a query in English is read with: words that tell nothing, forms that no stemmer joins, endings.

The lists are kept's own, written for questions and conversations: short on purpose, since a word too few costs a little
order, and a word too many can't be found. A query in another language loses at most a word that looks like one of
them, and never its only one.
"""

from __future__ import annotations

STOP_WORDS = frozenset(
    """
    a an the this that these those there here
    i me my mine myself we us our ours you your yours he him his she her hers it its they them their theirs
    who whom whose what which when where why how
    am is are was were be been being do does did doing done have has had having
    can could will would shall should might must
    and or but nor not no if then else so than as because while
    of in on at by for from to into onto with about over under between through during before after
    up down out off again also just too very really some any
    i'm i've i'd i'll you're you've you'd you'll he's she's it's we're we've we'd we'll they're they've they'd they'll
    who's what's where's when's how's why's that's there's here's let's
    don't doesn't didn't isn't aren't wasn't weren't haven't hasn't hadn't can't couldn't won't wouldn't shouldn't
    """.split()  # noqa: SIM905
)
"""Left out of a query of words where others remain. Never out of an index, so that a phrase finds them."""

_IRREGULAR = """
    become became/begin began begun/break broke broken/bring brought/build built/buy bought/catch caught/choose chose
    chosen/come came/drive drove driven/drink drank drunk/eat ate eaten/fall fell fallen/feel felt/fight fought/find
    found/fly flew flown/forget forgot forgotten/forgive forgave forgiven/freeze froze frozen/get got gotten/give gave
    given/go went gone/grow grew grown/hear heard/hide hid hidden/hold held/keep kept/know knew known/lead led/leave
    left/lend lent/lose lost/make made/mean meant/meet met/pay paid/ride rode ridden/ring rang rung/run ran/say said/see
    saw seen/sell sold/send sent/shake shook shaken/shoot shot/show shown/sing sang sung/sink sank sunk/sit sat/sleep
    slept/speak spoke spoken/spend spent/stand stood/steal stole stolen/stick stuck/swim swam swum/take took taken/teach
    taught/tell told/think thought/throw threw thrown/understand understood/wake woke woken/wear wore worn/win won/write
    wrote written/child children/person people/man men/woman women/foot feet/tooth teeth/mouse mice/life lives/wife
    wives/knife knives/leaf leaves/shelf shelves
"""

FORMS: dict[str, tuple[str, ...]] = {
    form: tuple(forms.split()) for forms in _IRREGULAR.split("/") for form in forms.split()
}
"""The forms of an irregular verb or noun, under each of them."""

ENDINGS = tuple(
    """
    s es ed ing ings ly y e er ers est ion ions ation ations ational ator ators ment ments ness nesses ful fully fulness
    ous ously ousness ive ively iveness ize izes ized izing ization able ably ability ible ibly ibility al ally ality
    alize ance ances ence ences ant ent ism isms ist ists ate ates ated ating ity ities ies ied icate ical ically
    """.split()  # noqa: SIM905
)
"""What Porter's stemmer may take away (https://tartarus.org/martin/PorterStemmer/def.txt)."""

_SHORTEST_STEM = 3


def is_stop_word(word: str) -> bool:
    """Whether a word tells nothing; `word` may have punctuation around it."""
    return _bare(word) in STOP_WORDS


def without_possessive(word: str) -> str:
    """`Ann's` as `Ann`."""
    bare = word.rstrip(".,;:!?)\"'\u2019")
    return bare[:-2] if len(bare) > 2 and bare[-2:].lower() in ("'s", "\u2019s") else word


def other_forms(word: str) -> tuple[str, ...]:
    """The other forms of an irregular word."""
    bare = _bare(word)
    return tuple(form for form in FORMS.get(bare, ()) if form != bare)


def stems_of_beginning(beginning: str) -> tuple[str, ...]:
    """What a stemmer may leave of words that begin so, where that is shorter: `happine` gives `happi`."""
    return tuple(
        beginning[:end]
        for end in range(_SHORTEST_STEM, len(beginning))
        if any(ending.startswith(beginning[end:]) for ending in ENDINGS)
    )


def _bare(word: str) -> str:
    return word.strip(".,;:!?()[]{}\"'\u2019\u201c\u201d\u2026*").lower().replace("\u2019", "'")
