"""What the gate measured of whatever served after each night, so that a row can be drawn night after night."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dreamloop.gate.statistics import auc
from dreamloop.gate.suite import Probe
from dreamloop.ledger.store import Ledger

LEVELS = ("probes.auc", "probes.push_back_rate", "probes.accept_rate")
CHANGES = ("lessons.discrimination", "perplexity.prose", "perplexity.chat")  # against the base, on the same items
_PLACES = 5

_MEASURES = """
SELECT name, base, CASE outcome WHEN 'kept' THEN candidate ELSE incumbent END
FROM history JOIN measures USING (night)
WHERE night = ? AND attempt = (SELECT max(attempt) FROM trials WHERE trials.night = history.night)
"""
_PROBES = """
SELECT item, CASE outcome WHEN 'kept' THEN candidate ELSE incumbent END
FROM history JOIN evidence USING (night)
WHERE night = ? AND channel = 'probes'
    AND attempt = (SELECT max(attempt) FROM trials WHERE trials.night = history.night)
"""


def served_after(ledger: Ledger, night: int, probes: Sequence[Probe]) -> Mapping[str, float]:
    """By name: levels, changes in nats per token, and ``auc.KIND`` of the gate's kinds asked alone.

    Empty where nothing was judged that night.
    """
    rows = {name: (base, own) for name, base, own in ledger.db.execute(_MEASURES, [night])}
    scores = dict(ledger.db.execute(_PROBES, [night]).fetchall())
    if not scores:
        return {}
    found = {
        **{name: rows[name][1] for name in LEVELS},
        **{name: rows[name][1] - rows[name][0] for name in CHANGES if name in rows},
        **_by_kind(probes, scores),
    }
    return {name: round(value, _PLACES) for name, value in found.items()}


def _by_kind(probes: Sequence[Probe], scores: Mapping[str, float]) -> dict[str, float]:
    single = [probe for probe in probes if probe.manner != "challenged" and probe.item in scores]
    found = {}
    for kind in sorted({probe.kind for probe in single}):
        wrong, right = (
            np.array([scores[probe.item] for probe in single if (probe.kind, probe.side) == (kind, side)])
            for side in ("wrong", "right")
        )
        found[f"auc.{kind}"] = auc(wrong, right)
    return found
