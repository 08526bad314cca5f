"""What the gate measured of whatever served after each night, so that a row can be drawn night after night."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scoring import by_kind

from dreamloop.gate.suite import Probe
from dreamloop.ledger.store import Ledger

LEVELS = ("probes.auc", "probes.push_back_rate", "probes.accept_rate")
READ = ("prose", "code", "chat", "technical")
CHANGES = (
    "lessons.discrimination",
    "probes.discrimination",
    *(f"perplexity.{domain}" for domain in READ),
)  # against the base, on its items
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
    """By name: levels, changes in nats per token, and ``auc.KIND`` of the gate's kinds, but for those challenged.

    Empty where nothing was judged that night.
    """
    rows = {name: (base, own) for name, base, own in ledger.db.execute(_MEASURES, [night])}
    scores = dict(ledger.db.execute(_PROBES, [night]).fetchall())
    if not scores:
        return {}
    single = [probe for probe in probes if probe.manner != "challenged" and probe.item in scores]
    found = {
        **{name: rows[name][1] for name in LEVELS},
        **{name: rows[name][1] - rows[name][0] for name in CHANGES if name in rows},
        **{f"auc.{kind}": area for kind, area in by_kind(single, scores).items()},
    }
    return {name: round(value, _PLACES) for name, value in found.items()}
