"""A seed in words, before anybody has said them: what happened, what the user is about to do, and everything around it.

A sketch holds both sides of a scenario at once. The direction keeps its slots ``{claim}`` and ``{other}``; filling them
one way or the other is the only difference between twins, whoever wrote the words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dreamloop.config import Dream
from dreamloop.dream.axes import ANSWERS, DEMANDS, FRAMES, INSISTING, LENGTHS, MANNERS, TONES, TURNS, Draw, name_of
from dreamloop.dream.books import CONTRADICTED, Book, Shelf
from dreamloop.dream.grammar import expand
from dreamloop.dream.kinds import WRONGNESS
from dreamloop.dream.seeds import Seed
from dreamloop.prompts import fill
from dreamloop.records import Axis, Context, Hand, Message, Scenario, Side, Twins, digest_of

_FILLERS = {"short": 0, "medium": 1, "long": 3}
_INSISTS = 4  # turns from which the direction is given three times


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around a scenario and is the same for twins, up to their claims.

    ``aside`` are sentences that have nothing to do with it, ``opening`` and ``opened`` a first exchange about nothing,
    ``heard`` what the assistant says before the direction, ``waits`` what it says to the direction before the user
    insists with ``insists``. Where ``heard`` is the other side's claim, as a slot, the user sets the direction against
    it with ``against``: right against wrong on one side, wrong against right on the other. What a frame has not is
    empty.
    """

    system: str = ""
    persona: str = ""
    aside: str = ""
    tone: str = ""
    turns: int = 1
    opening: str = ""
    opened: str = ""
    heard: str = ""
    against: str = ""
    waits: tuple[str, ...] = ()
    insists: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sketch:
    """Both sides of a scenario. ``accept`` and ``push_back`` are replies whose claims are slots."""

    kind: str
    seed: Seed
    template: str
    sentence: str
    situation: str
    direction: str
    frame: Frame
    accept: str
    push_back: str
    axes: tuple[Axis, ...]
    worded_by: Hand = "grammar"
    replies_by: Hand = "grammar"


def sketch(book: Book, shelf: Shelf, draw: Draw, knobs: Dream) -> Sketch:
    """Draw a seed of a kind and dress it.

    Args:
        book, shelf: the kind and its language. draw: all choices. knobs: the shares of bare ones and of manners.
    """
    draw.take("kind", book.kind)
    draw.take("language", shelf.language)
    draw.take("wrongness", WRONGNESS.get(book.kind, "false fact"))
    seed = book.seeder(draw, book.phrases, shelf.topics)
    draw.take("domain", seed.domain)
    names = draw.rng.sample(list(shelf.common["names"]), 2 + max(_FILLERS.values()))
    values = {**seed.values, "name": names[0]}
    wording = draw.line("situation", book.phrases["situation"])
    said = expand(wording, draw.rng)
    task = draw.even("task", list(book.directions()))
    direction = expand(draw.line("direction", book.directions()[task]), draw.rng)
    bare = draw.even("frame", list(FRAMES), {"bare": knobs.bare_share, "dressed": 1 - knobs.bare_share}) == "bare"
    other, right = knobs.alternative_share, knobs.corrected_share
    manners = {"push back": 1 - other - right, "alternative": other, "corrected": right}
    accept, push_back = _replies(book, draw, "push back" if bare else draw.even("manner", list(MANNERS), manners))
    frame = Frame() if bare else _frame(book, shelf, draw, names[1:], seed.domain)
    return Sketch(
        book.kind, seed, name_of(book.kind, wording), name_of(book.kind, f"{said} {direction}"),
        fill(said, values), _keeping_claims(direction, values), frame,
        _keeping_claims(accept, values), _keeping_claims(push_back, values), draw.axes(),
    )  # fmt: skip


def twins_of(drawn: Sketch) -> Twins:
    """Both scenarios of a sketch, under one name: what they are about, whatever frame and replies stand around it."""
    seed = drawn.seed
    twin = digest_of(drawn.kind, drawn.situation, drawn.direction, seed.right, seed.wrong)[:16]
    return Twins(_scenario(drawn, "right", twin), _scenario(drawn, "wrong", twin))


def claims(seed: Seed, side: Side) -> Mapping[str, str]:
    """What the slots hold on one side: its claim, and the other side's."""
    pair = (seed.right, seed.wrong) if side == "right" else (seed.wrong, seed.right)
    return dict(zip(("claim", "other"), pair, strict=True))


def context_of(drawn: Sketch, side: Side) -> Context:
    """The dialogue up to where the assistant has to reply."""
    frame = drawn.frame
    held = claims(drawn.seed, side)
    direction = capital(fill(drawn.direction, held))
    facts = _joined(frame.persona, frame.aside, capital(drawn.situation))  # "it" in a direction is never an aside
    turns: list[str] = [facts, fill(frame.heard, held), _joined(frame.against, direction, frame.tone)]
    if frame.turns == 1:
        turns = [_joined(facts, direction, frame.tone)]
    for waits, insists in zip(frame.waits, frame.insists, strict=True):
        turns += [waits, _joined(direction, insists)]
    if frame.opening:
        turns = [frame.opening, frame.opened, *turns]
    said = tuple(Message("assistant" if k % 2 else "user", text) for k, text in enumerate(turns))
    return (Message("system", frame.system), *said) if frame.system else said


def capital(text: str) -> str:
    """The text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def demand_sets() -> Mapping[str, tuple[str, ...]]:
    """Every set of demands by its name."""
    sets = (tuple(d for k, d in enumerate(DEMANDS) if bits >> k & 1) for bits in range(1 << len(DEMANDS)))
    return {" + ".join(one) or "none": one for one in sets}


def _scenario(drawn: Sketch, side: Side, twin: str) -> Scenario:
    held = claims(drawn.seed, side)
    return Scenario(
        drawn.kind, drawn.template, side, twin, context_of(drawn, side), capital(fill(drawn.accept, held)),
        capital(fill(drawn.push_back, held)), drawn.seed.truth, held["claim"],
        (*drawn.axes, Axis("sentence", drawn.sentence)), "weak" if drawn.seed.judged else "strong", drawn.worded_by,
        drawn.replies_by,
    )  # fmt: skip


def _replies(book: Book, draw: Draw, manner: str) -> tuple[str, str]:
    """What accepts, and what does not; the k-th lines of the sections are written alike, so length says nothing."""
    phrases = book.phrases
    if manner == "corrected":
        accept, _, push_back = draw.rng.choice(phrases["corrected"]).partition(" | ")
    else:
        against = phrases["alternative" if manner == "alternative" else "push_back"]
        accept, push_back = draw.rng.choice(list(zip(phrases["accept"], against, strict=True)))
    return expand(accept, draw.rng), expand(push_back, draw.rng)


def _frame(book: Book, shelf: Shelf, draw: Draw, names: Sequence[str], domain: str) -> Frame:
    common = shelf.common
    turns = int(draw.even("turns", TURNS))
    insisting = turns >= _INSISTS
    tone = draw.take("tone", INSISTING) if insisting else draw.even("tone", TONES)
    contradicted = turns > 1 and draw.even("answer", list(ANSWERS)) == "contradicted"
    values = {"name": names[0], "domain": domain}
    others = iter(names[1:])  # somebody else in every aside

    def say(section: str) -> str:
        return fill(expand(draw.rng.choice(common[section]), draw.rng), values)

    demands = _demands(draw)
    system = " ".join(say(f"demands: {demand}") for demand in demands)
    lines = {line.partition(": ")[0]: line.partition(": ")[2] for line in common["personas"]}
    persona = draw.even("persona", ["none", *lines], {"none": len(lines) / 2, **dict.fromkeys(lines, 1.0)})
    asides = draw.rng.sample(list(common["filler"]), _FILLERS[draw.even("length", LENGTHS)])
    return Frame(
        system=system,
        persona=fill(expand(lines[persona], draw.rng), values) if persona != "none" else "",
        aside=" ".join(fill(expand(aside, draw.rng), values | {"name": next(others)}) for aside in asides),
        tone="" if insisting or tone == "plain" else say(f"tone: {tone}"),
        turns=turns,
        opening=say("opening") if turns == 3 else "",
        opened=say("opening reply") if turns == 3 else "",
        heard=_contradicted(book, shelf, draw) if contradicted else say("heard") if turns > 1 else "",
        against=say("against") if contradicted else "",
        waits=tuple(draw.rng.sample(list(common["waiting"]), 2)) if insisting else (),
        insists=(say("insist: second"), say("insist: third")) if insisting else (),
    )


def _contradicted(book: Book, shelf: Shelf, draw: Draw) -> str:
    """A line with slots for the claims: the kind's own where its claims alone do not exclude each other."""
    return expand(draw.rng.choice(book.phrases.sections.get(CONTRADICTED) or shelf.common[CONTRADICTED]), draw.rng)


def _demands(draw: Draw) -> tuple[str, ...]:
    """Any set of the demands, the least used first; half of the scenarios have none."""
    names = demand_sets()
    weights = {name: float(len(names) - 1 if name == "none" else 1) for name in names}
    return names[draw.even("constraints", list(names), weights)]


def _keeping_claims(text: str, values: Mapping[str, str]) -> str:
    return fill(text, {**values, "claim": "{claim}", "other": "{other}"})


def _joined(*parts: str) -> str:
    """The parts in one paragraph; what ends in code or a name gets its own line."""
    said = [part for part in parts if part]
    return "".join(part + (" " if part[-1] in ".?!" else "\n") for part in said).rstrip()
