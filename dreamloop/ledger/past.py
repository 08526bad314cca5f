"""What the nights so far tell tonight's plan, read from an open ledger."""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from dreamloop.records import Change, Dose, KindShown, Measure, PastNight, Potential

# The trial that was judged last is the one that was kept or not.
_LAST = "(SELECT night, max(attempt) FROM trials GROUP BY night)"
REBASED = "(SELECT night FROM plans WHERE json_extract(plan, '$.act') = 'rebase')"  # began at the base once more
TRIED = """(
    SELECT night FROM trainings WHERE night IN (SELECT night FROM verdicts)
    OR night NOT IN (SELECT night FROM endings WHERE outcome IN ('interrupted', 'failed'))
)"""  # trained and came to a judgement: what was ended before it waits for another night
_LINE = """
line(night) AS (
    SELECT generation FROM (SELECT generation FROM pointers ORDER BY rowid DESC LIMIT 1)
    UNION SELECT incumbent FROM models JOIN line USING (night) WHERE incumbent IS NOT NULL
)
"""  # what serves now, and all that served when it was made: a person may have gone back behind the others
_NIGHTS = f"""
WITH RECURSIVE {_LINE}
SELECT night,
    CASE WHEN outcome IN ('kept', 'reverted', 'inconclusive') AND EXISTS (SELECT 1 FROM pointers)
            AND coalesce(CASE WHEN outcome = 'kept' THEN night ELSE incumbent END, 0)
                NOT IN (SELECT coalesce(night, 0) FROM line UNION SELECT 0) THEN 'taken back'
        WHEN outcome = 'reverted' AND (night NOT IN (SELECT night FROM trainings)
            OR night IN (SELECT night FROM verdicts WHERE outcome = 'keep')) THEN 'failed'
        ELSE outcome END,
    (SELECT count(*) FROM steps WHERE steps.night = endings.night AND phase != 'hold'),
    coalesce((SELECT scale FROM trials WHERE trials.night = endings.night ORDER BY attempt DESC LIMIT 1), 1.0),
    night IN (SELECT night FROM go_aheads),
    night IN {REBASED},
    coalesce((SELECT outcome = 'revert' FROM trials WHERE trials.night = endings.night ORDER BY attempt LIMIT 1), 0),
    EXISTS (SELECT 1 FROM measures WHERE measures.night = endings.night AND (night, attempt) NOT IN {_LAST}
        AND NOT informative AND low < -margin),
    (SELECT coalesce(json_array_length(report, '$.trained'), json_extract(plan, '$.behavioural'))
        FROM trainings WHERE trainings.night = endings.night),
    json_extract(plan, '$.behavioural'), json_extract(plan, '$.rate'), json_extract(plan, '$.caution'),
    coalesce(json_extract(plan, '$.pace'), 1.0),
    coalesce(json_extract(plan, '$.further'), json_extract(plan, '$.found'), '[]'),
    coalesce(json_extract(plan, '$.distance'), 1.0)
FROM endings LEFT JOIN plans USING (night) LEFT JOIN models USING (night) ORDER BY night
"""  # noqa: S608 - the constant above
_MEASURES = f"""
SELECT night, name, unit, base, incumbent, candidate, change, low, high, margin,
    base_change, base_low, base_high, base_margin, items, clusters, census, informative
FROM measures WHERE (night, attempt) IN {_LAST}
"""  # noqa: S608 - the constant above
_LESSONS = f"""
SELECT night, item, base, candidate FROM evidence
WHERE channel = 'lessons' AND (night, attempt) IN {_LAST} ORDER BY night, item
"""  # noqa: S608 - the constant above
_TAUGHT = """
SELECT trainings.night, kind, count(DISTINCT scenarios.twin) FROM trainings JOIN scenarios
ON use = 'training' AND (scenarios.night = trainings.night OR scenarios.twin IN
    (SELECT twin FROM taken_up WHERE taken_up.night = trainings.night))
GROUP BY trainings.night, kind
"""


def potentials(db: sqlite3.Connection, digest: str) -> list[Potential]:
    """What a base model could be taught, by kind; nothing where it was not asked."""
    rows = db.execute("SELECT kind, twins, plain, shown, known FROM surveys WHERE digest = ? ORDER BY kind", [digest])
    return [Potential(*row) for row in rows]


def called(db: sqlite3.Connection, model: str) -> str:
    """The digest of the base that the configuration called so last; empty where no night knew it."""
    of_night = "SELECT digest FROM {} JOIN nights USING (night) WHERE model = ? ORDER BY night DESC LIMIT 1"
    for table in ("models", "surveys"):  # a night may have asked it and then come to nothing
        for (digest,) in db.execute(of_night.format(table), [model]):
            return str(digest)
    return ""


def past_nights(db: sqlite3.Connection) -> list[PastNight]:
    """Every night that ended, oldest first."""
    measures = defaultdict(list)
    for night, *row in db.execute(_MEASURES):
        if None not in row:  # what was not finite is no evidence; first nights have no base
            measures[night].append(_measure(*row))
    taught = {(night, kind): twins for night, kind, twins in db.execute(_TAUGHT)}
    shown = _shown(list(db.execute(_LESSONS)), taught)
    return [
        PastNight(
            night, outcome, steps, scale, tuple(measures[night]), tuple(shown[night]), bool(looked), bool(rebased),
            bool(worse), bool(too_large), None if None in planned else _dose(pairs or 0, *planned),
        )
        for night, outcome, steps, scale, looked, rebased, worse, too_large, pairs, *planned in db.execute(_NIGHTS)
    ]  # fmt: skip


def _dose(pairs: int, planned: int, rate: float, caution: float, pace: float, found: str, distance: float) -> Dose:
    return Dose(pairs, planned, rate, caution, pace, tuple(json.loads(found)), distance)


def _measure(name: str, unit: str, base: float, incumbent: float, candidate: float, *rest: Any) -> Measure:
    tonight, since, (items, clusters, census, informative) = Change(*rest[:4]), Change(*rest[4:8]), rest[8:]
    return Measure(
        name, unit, base, incumbent, candidate, tonight, since, items, clusters, bool(census), bool(informative)
    )


def _shown(rows: Sequence[Sequence[Any]], taught: dict[tuple[int, str], int]) -> dict[int, list[KindShown]]:
    """Fresh scenarios by night and kind; an item is KIND/TWIN/SIDE, its score the push-back margin."""
    apart: dict[tuple[int, str], list[tuple[float, float]]] = defaultdict(list)  # by base and candidate
    decided: Counter[tuple[int, str]] = Counter()
    for night, kind, wrong, right in _twins(rows):
        apart[night, kind].append((wrong[0] - right[0], wrong[1] - right[1]))
        decided[night, kind] += right[1] < 0 < wrong[1]
    found: dict[int, list[KindShown]] = defaultdict(list)
    for night, kind in dict.fromkeys([*apart, *taught]):
        told = apart.get((night, kind), [])
        base, candidate = (sum(one[k] > 0 for one in told) for k in (0, 1))
        gains = [after - before for before, after in told]
        found[night].append(KindShown(
            kind, len(told), base, candidate, decided[night, kind], taught.get((night, kind), 0), math.fsum(gains),
            math.fsum(gain * gain for gain in gains),
        ))  # fmt: skip
    return found


def _twins(rows: Sequence[Sequence[Any]]) -> Iterator[tuple[int, str, tuple[float, float], tuple[float, float]]]:
    sides: dict[tuple[int, str, str], dict[str, tuple[float, float]]] = defaultdict(dict)
    for night, item, base, candidate in rows:
        kind, twin, side = item.split("/")
        if base is not None and candidate is not None:
            sides[night, kind, twin][side] = (base, candidate)
    for (night, kind, _), both in sides.items():
        if len(both) == 2:
            yield night, kind, both["wrong"], both["right"]
