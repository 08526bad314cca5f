"""Seeds into twins: two situations alike but for the claim, with the same two replies offered to both.

Words come from the phrase books in ``prompts/dream/``; every label is proven by its seed. What was
dreamed on an earlier night, or nearly so, is discarded and counted, and so is what meets a gate item.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dreamloop.dream.novelty import Novelty, signature
from dreamloop.dream.seeds import SEEDERS, Seed
from dreamloop.errors import ConfigError
from dreamloop.prompts import Phrases, fill, load_phrases
from dreamloop.records import (
    Dreamed,
    Message,
    Pair,
    Provenance,
    Scenario,
    Side,
    Skip,
    Twins,
    digest_of,
    flatten,
)

ATTEMPTS_PER_TWIN = 20

HeldOut = Callable[[Sequence[str]], bool]


def load_books(folder: Path, kinds: Sequence[str]) -> dict[str, Phrases]:
    """The phrase books of the wanted kinds and the common one.

    Raises:
        ConfigError: a kind does not exist, or its file is damaged.
    """
    unknown = sorted(set(kinds) - set(SEEDERS))
    if unknown:
        raise ConfigError(f"There is no scenario kind {unknown[0]!r}; the kinds are {', '.join(SEEDERS)}.")
    return {name: load_phrases(folder / "dream", name) for name in ("common", *kinds)}


def dream(count: int, books: Mapping[str, Phrases], seed: int, novelty: Novelty, held_out: HeldOut) -> Dreamed:
    """Compose ``count`` fresh twins, spread evenly over the kinds in ``books``.

    Args:
        count: twins wanted (two scenarios each).
        books: from `load_books`.
        seed: decides everything; the same seed and novelty give the same dreams.
        novelty: index of all earlier nights; what is dreamed is added.
        held_out: whether any of some texts comes near a gate item, which nothing may.

    Returns:
        The twins, fewer than asked for where novelty ran out, and the counted discards.
    """
    rng = random.Random(seed)
    kinds = [name for name in books if name != "common"]
    rng.shuffle(kinds)
    discards: Counter[str] = Counter()
    twins: list[Twins] = []
    for k in range(count):
        found = _fresh(kinds[k % len(kinds)], books, rng, novelty, held_out, discards)
        if found:
            twins.append(found)
    skips = tuple(Skip("dream", reason, n) for reason, n in sorted(discards.items()))
    return Dreamed(tuple(twins), skips)


def fingerprint(twins: Twins) -> bytes:
    """The signature under which twins are remembered: both situations together."""
    return signature(f"{flatten(twins.right.context)} {flatten(twins.wrong.context)}")


def pairs_of(twins: Twins) -> tuple[Pair, Pair]:
    """Two preference pairs with the same replies, chosen and rejected exchanged."""
    right, wrong = twins.right, twins.wrong
    return (
        Pair(right.context, right.accept, right.push_back, _provenance(right), right.twin),
        Pair(wrong.context, wrong.push_back, wrong.accept, _provenance(wrong), wrong.twin),
    )


def _provenance(scenario: Scenario) -> Provenance:
    return Provenance("dream", scenario.kind, 0, scenario.side, "strong")


def _fresh(
    kind: str, books: Mapping[str, Phrases], rng: random.Random, novelty: Novelty, held_out: HeldOut,
    discards: Counter[str],
) -> Twins | None:  # fmt: skip
    for _ in range(ATTEMPTS_PER_TWIN):
        seed = SEEDERS[kind](rng, books[kind])
        twins = compose(kind, seed, books, rng)
        mark, digests = fingerprint(twins), (twins.right.digest, twins.wrong.digest)
        if novelty.knows(mark, *digests):
            discards[f"{kind}: nearly dreamed before"] += 1
        elif held_out([s.context[-1].content for s in (twins.right, twins.wrong)]):
            discards[f"{kind}: too close to a gate item"] += 1
        else:
            novelty.add(mark, *digests)
            return twins
    discards[f"{kind}: gave up after {ATTEMPTS_PER_TWIN} tries"] += 1
    return None


def compose(kind: str, seed: Seed, books: Mapping[str, Phrases], rng: random.Random) -> Twins:
    """Dress a seed in one situation, one direction, sometimes a tone, and one pair of replies."""
    book, common = books[kind], books["common"]
    values = {**seed.values, "name": rng.choice(common["names"])}
    wording = rng.randrange(len(book["situation"]))
    situation, direction = book["situation"][wording], rng.choice(book["direction"])
    tone = f" {rng.choice(common['tone'])}" if rng.random() < 0.5 else ""
    # The k-th lines of both sections are written alike, so that length and manner say nothing.
    accept, push_back = rng.choice(list(zip(book["accept"], book["push_back"], strict=True)))

    def side(side: Side, claim: str, twin: str) -> Scenario:
        text = fill(f"{situation} {direction}{tone}", {**values, "claim": claim})
        said = (Message("user", _sentence(text)),)
        return Scenario(kind, f"{kind}/{wording}", side, twin, said, accept, push_back, seed.truth)

    right = side("right", seed.right, "")
    twin = digest_of(flatten(right.context), seed.wrong, accept, push_back)[:16]
    return Twins(side("right", seed.right, twin), side("wrong", seed.wrong, twin))


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
