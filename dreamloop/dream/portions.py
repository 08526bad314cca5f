"""How many of each kind a night dreams: the configured share of technical ones, the rest evenly, none too many.

Kinds that were dreamed least come first, so that nights of ten twins cover all kinds within two.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Sequence

from dreamloop.dream.axes import Coverage
from dreamloop.dream.kinds import TECHNICAL

RISE = 1.5  # by which the technical share grows while an ability falls
_HIGHEST = 0.8
_VARIED = 8  # kinds of a night, before one comes a second time
_NOTHING: Counter[str] = Counter()


def technical_share(configured: float, falling: Collection[str]) -> float:
    """The share of technical scenarios tonight: the configured one, half as much again while an ability falls."""
    return min(configured * RISE, max(_HIGHEST, configured)) if falling else configured


def portions(
    count: int, kinds: Sequence[str], share: float, largest: float, falling: Collection[str], coverage: Coverage,
    rng: random.Random, before: Counter[str] = _NOTHING,
) -> list[str]:  # fmt: skip
    """The kind of each of tonight's twins, in random order.

    Args:
        count: twins. kinds: those there are.
        share: of technical kinds among them, as `technical_share` gives it.
        largest: share that one kind may have; at least one of each is allowed.
        falling: abilities that the gate saw falling; kinds that practise them come first among the technical ones.
        coverage: what was dreamed in all nights. rng: decides among equals.
        before: the kinds of the twins that the night has already; the shares are those of the whole night.
    """
    technical = [kind for kind in kinds if any(kind in own for own in TECHNICAL.values())]
    other = [kind for kind in kinds if kind not in technical]
    had = {kind: before[kind] for kind in kinds}
    total, skilled = count + sum(had.values()), sum(had[kind] for kind in technical)
    wanted = min(_drawn(total * (share if other else 1.0), rng), skilled + count) if technical else 0
    most = max(1, int(total * largest))
    helping = [kind for kind in technical if any(kind in TECHNICAL[name] for name in falling if name in TECHNICAL)]
    first = min(wanted, -(-2 * wanted // 3)) if helping else 0  # two thirds of them practise what falls
    chosen = _least(first, helping, most, Counter({kind: had[kind] for kind in helping}), coverage, rng)
    chosen += Counter({kind: had[kind] for kind in technical if kind not in helping})
    chosen = _least(wanted, technical, most, chosen, coverage, rng) + Counter({kind: had[kind] for kind in other})
    chosen = _least(total, other or technical, most, chosen, coverage, rng)
    night = list((chosen - Counter(had)).elements())
    rng.shuffle(night)
    return night


def instead(
    count: int, kinds: Sequence[str], largest: float, night: Counter[str], coverage: Coverage, rng: random.Random
) -> list[str]:
    """Kinds for ``count`` twins that another kind could not have, as even as `portions` beside the night's others."""
    total = count + night.total()
    return list((_least(total, kinds, max(1, int(total * largest)), night, coverage, rng) - night).elements())


def _drawn(exact: float, rng: random.Random) -> int:
    """A whole number that is the exact one on average: a third of a twin is one twin every third night."""
    whole = int(exact)
    return whole + (rng.random() < exact - whole)


def _least(
    until: int, kinds: Sequence[str], most: int, chosen: Counter[str], coverage: Coverage, rng: random.Random
) -> Counter[str]:
    """Fill up with what was dreamed least, no kind more often than ``most`` unless all are full."""
    chosen = chosen.copy()
    while chosen.total() < until and kinds:
        open_ones = [kind for kind in kinds if chosen[kind] < most]
        if not open_ones:
            most += 1
            continue
        few = len(+chosen) < _VARIED  # then what the night has already waits for the others
        used = {
            kind: (few and chosen[kind] > 0, coverage.count("kind", kind) + chosen[kind], rng.random())
            for kind in open_ones
        }
        chosen[min(used, key=lambda kind: used[kind])] += 1
    return chosen
