"""What one seed's nights came to, small enough to be committed: further seeds may be run on another day.

A seed's file holds its nights as the ledger tells them, and every contestant's score of every item, so that means and
intervals over seeds can be made anew at any time. Names of items stand in one file, scores in the same order in each.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from asking import Scores
from general import asked, place_of, pool_of
from machine import device, versions
from served import served_after

from dreamloop.gate.suite import Probe
from dreamloop.ledger.store import Ledger

RESULTS = Path(__file__).parent / "results" / "nights"
_ITEMS = "items.json"
_PLACES = 5  # of a score, in nats per token

_NIGHTS = """
SELECT night, history.outcome, coalesce(scale, 1.0),
    coalesce((SELECT json_array_length(report, '$.trained') FROM trainings WHERE trainings.night = history.night), 0),
    coalesce(seconds, 0.0),
    coalesce(json_extract(plan, '$.act'), ''), coalesce(json_extract(plan, '$.rate'), 1.0),
    coalesce(json_extract(plan, '$.caution'), 1.0),
    fresh.change, coalesce(probes.base_low > 0, 0),
    coalesce(json_extract(plan, '$.pace'), 1.0),
    CASE WHEN json_array_length(plan, '$.further') > 0 THEN json_extract(plan, '$.distance') ELSE 1.0 END
FROM history LEFT JOIN plans USING (night)
    LEFT JOIN (SELECT night, max(attempt) AS attempt FROM trials GROUP BY night) AS last USING (night)
    LEFT JOIN trials USING (night, attempt)
    LEFT JOIN (SELECT * FROM measures WHERE name = 'lessons.discrimination') AS fresh USING (night, attempt)
    LEFT JOIN (SELECT * FROM measures WHERE name = 'probes.discrimination') AS probes USING (night, attempt)
ORDER BY night
"""


@dataclass(frozen=True)
class LivedNight:
    """One night: ``scale`` of its step judged last, the plan's factors on the learning rates and, where any kind was
    to go further apart, the distance, ``learned`` nats per token by which fresh scenarios were told apart better than
    the day before (None where nothing was judged), ``surely`` whether the gate's probes were surely told apart better
    than by the base, and what the gate measured of what ``served`` afterwards."""

    number: int
    outcome: str
    scale: float
    pairs: int
    seconds: float
    act: str
    rate: float
    caution: float
    learned: float | None
    surely: int
    pace: float = 1.0
    distance: float = 1.0
    served: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Lived:
    """One seed: its nights, how many twins of each kind they trained on, and scores by contestant and night.

    ``code`` is the digest of what the nights ran on, ``asking`` that of what was asked, ``prompt`` that of the system
    prompt. ``held`` counts twins of other kinds that were only held, ``threads`` those that the nights computed with.
    """

    seed: int
    nights: tuple[LivedNight, ...]
    twins: Mapping[str, int]
    scores: Mapping[str, Scores]
    code: str
    asking: str
    date: str
    device: str
    versions: Mapping[str, str]
    prompt: str = ""
    held: int = 0
    threads: int = 0
    naive_seconds: tuple[float, ...] = ()


def lived(
    seed: int, ledger: Ledger, ended: Collection[int], scores: Mapping[str, Scores], code: str, asking: str,
    probes: Sequence[Probe],
) -> Lived:  # fmt: skip
    """What the ledger tells of the ``ended`` nights of a seed that has just been measured."""
    twins: Counter[str] = Counter()
    for night in (night for night in ledger.past() if not night.rebased and night.number in ended):
        twins.update({shown.kind: shown.taught for shown in night.shown})
    rows = (LivedNight(*row) for row in ledger.db.execute(_NIGHTS).fetchall())
    nights = tuple(
        replace(night, served=served_after(ledger, night.number, probes)) for night in rows if night.number in ended
    )
    held = {(night, twin) for night, twin in ledger.db.execute("SELECT night, twin FROM held") if night in ended}
    return Lived(
        seed, nights, dict(twins.most_common()), scores, code, asking, datetime.now(UTC).date().isoformat(), device(),
        versions(), held=len(held), threads=torch.get_num_threads(),
    )  # fmt: skip


def keep(one: Lived, folder: Path = RESULTS) -> None:
    """Write a seed's file, and the names of the items with the first one.

    Raises:
        ValueError: a contestant has a score that is not a number, or other items were asked than of the seeds before.
    """
    for who, own in one.scores.items():
        for channel, numbers in own.items():
            if not all(map(math.isfinite, numbers.values())):
                raise ValueError(f"{who} has a score in {channel} that is no number; there is nothing to compare.")
    folder.mkdir(exist_ok=True)
    names = {channel: list(own) for channel, own in next(iter(one.scores.values())).items()}
    path = folder / _ITEMS
    if path.is_file() and json.loads(path.read_text()) != names:
        raise ValueError(f"The items differ from those in {path}; remove {folder} and run all seeds again.")
    path.write_text(json.dumps(names) + "\n")
    scores = {
        who: {channel: [round(own[channel][item], _PLACES) for item in items] for channel, items in names.items()}
        for who, own in one.scores.items()
    }
    part = _file(one.seed, folder).with_suffix(".part")
    part.write_text(json.dumps({**asdict(one), "scores": scores}) + "\n")
    part.replace(_file(one.seed, folder))


def kept(seed: int, folder: Path = RESULTS) -> Lived | None:
    """A seed that was measured before."""
    if not _file(seed, folder).is_file():
        return None
    names = json.loads((folder / _ITEMS).read_text())
    found: dict[str, Any] = json.loads(_file(seed, folder).read_text())
    scores = {
        who: {channel: dict(zip(names[channel], numbers, strict=True)) for channel, numbers in own.items()}
        for who, own in found["scores"].items()
    }
    nights = tuple(LivedNight(**night) for night in found["nights"])
    naive = tuple(found.get("naive_seconds", ()))
    return Lived(**{**found, "scores": scores, "nights": nights, "naive_seconds": naive})


def same_rows(home: Path, folder: Path = RESULTS) -> Path:
    """The base's own answers that nights mix in: the same for all seeds that were asked the same, on any machine."""
    own, shared = place_of(home), folder / "general.json"
    found = json.loads(shared.read_text()) if shared.is_file() else {}
    if found.get("asked") == asked():
        rows = "".join(f"{json.dumps(row)}\n" for row in found["rows"])
        if not own.is_file() or own.read_text() != rows:
            own.write_text(rows)
        return own
    answers = [json.loads(row) for row in pool_of(home).read_text().splitlines()]
    folder.mkdir(exist_ok=True)
    shared.write_text(json.dumps({"asked": asked(), "rows": answers}) + "\n")
    return own


def unchanging(asking: str, prompt: str, folder: Path = RESULTS) -> dict[str, Scores]:
    """Scores of what is not trained, out of any seed that was asked the same; without those that none has."""
    seeds = sorted(int(path.stem.removeprefix("seed-")) for path in folder.glob("seed-*.json"))
    every = [one for one in (kept(seed, folder) for seed in seeds)
             if one and one.asking == asking and "base 0" in one.scores]  # fmt: skip
    found = {"base 0": every[-1].scores["base 0"]} if every else {}
    under = [one.scores["prompted 0"] for one in every if one.prompt == prompt]
    return found | ({"prompted 0": under[-1]} if under else {})


def _file(seed: int, folder: Path) -> Path:
    return folder / f"seed-{seed}.json"
