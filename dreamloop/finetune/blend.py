"""Several replay sources into one: how many rows each gives, and in which order.

Deterministic: the same sources and knobs give the same counts, and any beginning of the result holds the shares of the
whole, so a smaller night replays a smaller picture of the same mixture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

T = TypeVar("T")
Mix = Literal["proportional", "temperature", "quality"]


def weights(sizes: Mapping[str, int], mix: Mix, temperature: float, quality: Mapping[str, float]) -> dict[str, float]:
    """What each source's share is proportional to.

    Args:
        sizes: rows that each source has.
        mix: ``proportional`` to the size n; by ``temperature`` T to n^(1/T) (arXiv 2010.11934, section 3.2 with
            α = 1/T), so that small sources are heard; or to ``quality``, whatever the size.
        temperature: T, at least 1.
        quality: by source; 1 where none is given.
    """
    if mix == "quality":
        return {name: quality.get(name, 1.0) for name in sizes}
    power = 1.0 if mix == "proportional" else 1.0 / temperature
    return {name: float(size) ** power for name, size in sizes.items()}


def shares(total: int, sizes: Mapping[str, int], wanted: Mapping[str, float]) -> dict[str, int]:
    """``total`` rows dealt by weight with the largest remainders, none given more than it has.

    What a small source cannot give, the others give by their weights. The sum is ``total`` or all there is.
    """
    given = dict.fromkeys(sizes, 0)
    left = min(total, sum(sizes.values()))
    while left:
        open_ = {name: wanted[name] for name in sizes if given[name] < sizes[name] and wanted[name] > 0}
        if not open_:
            break
        for name, count in _dealt(left, open_).items():
            given[name] += min(count, sizes[name] - given[name])
        left = min(total, sum(sizes.values())) - sum(given.values())
    return given


def interleave(sources: Sequence[Sequence[T]]) -> list[T]:
    """All items, each source spread evenly over the whole and in its own order."""
    places = [((k + 0.5) / len(source), item) for source in sources for k, item in enumerate(source)]
    return [item for _, item in sorted(places, key=lambda place: place[0])]  # stable: ties keep the sources' order


def _dealt(total: int, wanted: Mapping[str, float]) -> dict[str, int]:
    whole = sum(wanted.values())
    exact = {name: total * weight / whole for name, weight in wanted.items()}
    counts = {name: int(value) for name, value in exact.items()}
    by_rest = sorted(exact, key=lambda name: counts[name] - exact[name])  # stable: ties keep the sources' order
    for name in by_rest[: total - sum(counts.values())]:
        counts[name] += 1
    return counts
