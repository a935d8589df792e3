"""Conversations that are made up, with questions about them: what the ranking of messages was tuned on.

Two people talk in several sessions, weeks apart. Facts are told plainly, as the answer to a question that alone has the
words, or at a time that the question asks for. Others tell the same of themselves, and replies repeat the words.
The same seed gives the same conversations. The form is LoCoMo's (see `retrieval`).
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

NAMES = ("Alice", "Bruno", "Chiara", "Dmitri", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Keiko", "Lars")

FACTS = (
    ("go to {}", "went to {}", ("the pottery class", "a jazz concert", "the climbing hall", "Lisbon", "a book fair")),
    ("buy {}", "bought {}", ("a red bicycle", "a telescope", "an old piano", "new running shoes", "a tent")),
    ("paint {}", "was painting {}", ("the kitchen wall", "a sunset", "a portrait of grandma", "the garden fence")),
    ("adopt {}", "adopted {}", ("a grey kitten", "a greyhound", "two parrots", "a tortoise")),
    ("write {}", "wrote {}", ("a short story", "a letter to the mayor", "some poems", "a travel diary")),
    ("lose {}", "lost {}", ("the car keys", "a silver ring", "the phone", "a favourite scarf")),
    ("teach {}", "have been teaching {}", ("guitar lessons", "children to swim", "a yoga group", "chess")),
    ("cook {}", "cooked {}", ("a lentil curry", "dinner for ten", "grandpa's soup", "a vegan cake")),
)
"""What is asked about, how it is told, and of what."""

TIMES = ("yesterday", "last weekend", "two days ago", "last Friday", "a week ago", "this morning")
REASONS = ("It took ages", "My sister came along", "It was more fun than I thought", "I had planned it for months")
ECHOES = ("Wow, {name}, {thing}! That sounds great.", "{thing}, really? Good for you, {name}!", "I love {thing}.")
PROMPTS = ("Have you done anything about {thing} yet, {name}?", "{name}, what came of {thing}?")
ANSWERS = (
    "Yes, finally! It was harder than it looked but I am proud of how it turned out.",
    "In the end my neighbour helped me, and we finished in the afternoon.",
    "It cost me almost two hundred, but I would do it again.",
    "Not as I had hoped: it rained all day and everybody left early.",
)
TALK = (
    "How have you been?",
    "Work keeps me busy these days, nothing new there.",
    "That makes me happy to hear.",
    "By the way, the weather here is awful.",
    "Thanks, that means a lot to me!",
    "I was thinking about you the other day, we should talk more often.",
    "Haha, I know what you mean.",
    "My week was long, I just want to sleep.",
)


def samples(count: int, seed: int) -> list[dict[str, Any]]:
    """So many conversations of two people, with their questions."""
    chance = random.Random(seed)
    return [_sample(chance, number) for number in range(count)]


def _sample(chance: random.Random, number: int) -> dict[str, Any]:
    names = chance.sample(NAMES, 2)
    conversation: dict[str, Any] = {"speaker_a": names[0], "speaker_b": names[1]}
    questions: list[dict[str, Any]] = []
    at = datetime(2023, 1, 1, 9, tzinfo=UTC) + timedelta(days=chance.randrange(60))
    for session in range(1, 20):
        at += timedelta(days=chance.randint(3, 20), minutes=chance.randrange(600))
        conversation[f"session_{session}_date_time"] = f"{at:%I:%M %p on} {at.day} {at:%B, %Y}"
        turns: list[tuple[str, str]] = []
        for _ in range(chance.randint(3, 6)):
            _talk(chance, turns, names)
            questions += _fact(chance, turns, names, f"D{session}", at)
        _talk(chance, turns, names)
        conversation[f"session_{session}"] = [
            {"dia_id": f"D{session}:{place}", "speaker": speaker, "text": text}
            for place, (speaker, text) in enumerate(turns, 1)
        ]
    return {"sample_id": f"made-{number}", "conversation": conversation, "qa": questions}


def _talk(chance: random.Random, turns: list[tuple[str, str]], names: list[str]) -> None:
    turns += [(chance.choice(names), chance.choice(TALK)) for _ in range(chance.randint(1, 3))]


def _fact(
    chance: random.Random, turns: list[tuple[str, str]], names: list[str], session: str, at: datetime
) -> list[dict[str, Any]]:
    teller, other = chance.sample(names, 2)
    asked, told, things = chance.choice(FACTS)
    thing = chance.choice(things)
    kind = chance.choice(("plain", "plain", "time", "answer", "dated"))
    if kind == "answer":
        turns.append((other, chance.choice(PROMPTS).format(thing=thing, name=teller)))
        turns.append((teller, chance.choice(ANSWERS)))
        question, category = f"How did it go when {teller} wanted to {asked.format(thing)}?", 3
    else:
        time = f" {chance.choice(TIMES)}" if kind == "time" or chance.random() < 0.3 else ""
        turns.append((teller, f"I {told.format(thing)}{time}. {chance.choice(REASONS)}."))
        question, category = {
            "plain": (f"What did {teller} say about {thing}?", 4),
            "time": (f"When did {teller} {asked.format(thing)}?", 2),
            "dated": (f"What did {teller} do with {thing} in {at:%B %Y}?", 1),
        }[kind]
    evidence = f"{session}:{len(turns)}"
    if chance.random() < 0.7:
        turns.append((other, chance.choice(ECHOES).format(thing=thing, name=teller)))
    return [{"question": question, "answer": "", "evidence": [evidence], "category": category}]
