"""What is told of a row of nights: one JSON line over all seeds that are finished."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, median
from typing import Any

from asking import Scores
from figures import figures, told, with_collapse
from intervals import bounds
from lived import Lived, LivedNight
from public import Public
from served import READ

from dreamloop.gate.suite import Suite

_NOT_UNDER_A_PROMPT = ("nats.prose", "nats.code", "nats.technical", "nats.docs", "nats.wiki", "nats.web", "collapse")


def line(every: Sequence[Lived], suite: Suite, public: Public) -> dict[str, Any]:
    """Per contestant and measure the mean with its interval, and of dreamloop the gains on the others.

    ``ratio_`` is that of the perplexities to the base's. Where the system prompt stands before nothing that is asked
    the base under it is left out.
    """
    asked_of = figures(suite, public, [one.twins for one in every])

    def of(who: str) -> list[Scores]:
        return [with_collapse(one.scores[who], one.scores["base 0"]) for one in every]

    def against(who: str, other: str) -> dict[str, dict[str, float]]:
        names = [one for one in asked_of if "prompted" not in f"{who}{other}" or one.name not in _NOT_UNDER_A_PROMPT]
        return {one.name: with_ratio(one.name, told(one, of(who), of(other))) for one in names}

    last = len(every[0].nights)
    return {
        "bench": "nights", "seeds": [one.seed for one in every], "nights": last,
        "table": {who: against(who, "base 0") for who in every[0].scores},
        "better_than": {
            other: {name: {which: own[f"gain_{which}"] for which in ("mean", "low", "high")}
                    for name, own in against(f"dreamloop {last}", other).items()}
            for other in ("prompted 0", f"naive {last}")
        },
        "twins": [one.twins for one in every], "bystanders": [one.held for one in every],
        "nights_kept": bounds("", [sum(night.outcome == "kept" for night in one.nights) for one in every]),
        "ended": [dict(Counter(night.outcome for night in one.nights)) for one in every],
        "acts": [dict(Counter(night.act for night in one.nights)) for one in every],
        "seconds_a_night": {"dreamloop": seconds([trained(one.nights) for one in every]),
                            "naive": seconds([one.naive_seconds for one in every])},
        "threads": [one.threads for one in every],
        "examples_above_noise": over_all([above_noise(one.nights) for one in every]),
        "worst_night": {domain: round(max(worst_night(one.nights, domain) for one in every), 5) for domain in READ},
        "codes": sorted({one.code[:16] for one in every}), "prompt": sorted({one.prompt[:16] for one in every}),
        "askings": sorted({one.asking[:16] for one in every}), "dates": sorted({one.date for one in every}),
        "device": every[-1].device, "versions": every[-1].versions,
    }  # fmt: skip


def with_ratio(name: str, told_of: dict[str, float]) -> dict[str, float]:
    """Of reading, its perplexity's ratio to the base's as well."""
    if not name.startswith("nats."):
        return told_of
    return {
        **told_of,
        **{f"ratio_{which}": round(math.exp(told_of[f"gain_{which}"]), 5) for which in ("mean", "low", "high")},
    }


def trained(nights: Sequence[LivedNight]) -> tuple[float, ...]:
    """How long the nights took that trained."""
    return tuple(night.seconds for night in nights if night.pairs)


def seconds(every: Sequence[Sequence[float]]) -> dict[str, float]:
    """The seeds' means with their interval, the median and the longest of all nights; nothing where none was timed."""
    timed = [own for own in every if own]
    if not timed:
        return {}
    all_of_them = [one for own in timed for one in own]
    return {
        **bounds("", [fmean(own) for own in timed]),
        "median": round(median(all_of_them), 1),
        "longest": max(all_of_them),
    }


def over_all(every: Sequence[dict[str, float] | None]) -> dict[str, Any]:
    """Over the seeds that came so far, and how many did."""
    came = [one for one in every if one]
    return {"seeds": len(came), **{name: bounds("", [one[name] for one in came]) for name in (came[0] if came else ())}}


def above_noise(nights: Sequence[LivedNight]) -> dict[str, float] | None:
    """Pairs that kept nights had trained on when the gate's probes, whose wordings and facts are in no dream, were
    first surely told apart better than by the base, and from then on in every kept night, and by how many nats per
    token that was; None where that never came. Of a step kept in part as large a part counts."""
    those_kept = [night for night in nights if night.outcome == "kept" and night.act != "rebase"]
    surely = [k for k in range(len(those_kept)) if all(night.surely for night in those_kept[k:])]
    if not surely:
        return None
    pairs = sum(night.pairs * night.scale for night in those_kept[: surely[0] + 1])
    return {"pairs": round(pairs), "nats": round(those_kept[surely[0]].served["probes.discrimination"], 5)}


def worst_night(nights: Sequence[LivedNight], domain: str) -> float:
    """The largest perplexity ratio of a domain from what served before a night to what served after it."""
    since_base = [night.served[f"perplexity.{domain}"] for night in nights if night.served]
    return max((math.exp(after - before) for before, after in pairwise([0.0, *since_base])), default=1.0)
