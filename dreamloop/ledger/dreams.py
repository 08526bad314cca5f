"""What was dreamed: every scenario, how often each choice was made, how varied the nights are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from dreamloop.ledger.database import LedgerFile, context_json, context_of
from dreamloop.ledger.past import TRIED
from dreamloop.records import Axis, Diversity, Dreamed, Scenario, Tally, Twins, Use

_TRIES = 3  # nights that may take twins up before they are left alone
_SCENARIO = (
    "kind, template, side, twin, context, accept, push_back, truth, claim, axes, strength, worded_by, replies_by"
)


class DreamRows(LedgerFile):
    """The part of the ledger that dreaming reads and writes."""

    def record_dream(self, night: int, dreamed: Dreamed, use: Use) -> None:
        """Accepted scenarios and what they are for, as soon as they are accepted."""
        scenarios = [s for twins in dreamed.twins for s in (twins.right, twins.wrong)]
        tallies = Counter((axis.name, axis.value) for twins in dreamed.twins for axis in twins.right.axes)
        with self._transaction():
            self._insert("scenarios", [_scenario_row(night, use, s) for s in scenarios])
            self._insert("coverage", [
                {"night": night, "axis": axis, "value": value, "count": count}
                for (axis, value), count in tallies.items()
            ])  # fmt: skip
            self._insert("skips", [{"night": night, **asdict(skip)} for skip in dreamed.skips])

    def coverage(self) -> list[Tally]:
        """How often each value of each axis was dreamed."""
        return [Tally(*row) for row in self._rows("SELECT axis, value, sum(count) FROM coverage GROUP BY axis, value")]

    def last_dream(self) -> int:
        """The row of the latest scenario, 0 before the first."""
        return int(self._one("SELECT coalesce(max(rowid), 0) FROM scenarios"))

    def dreams_after(self, row: int) -> Iterator[tuple[int, str, tuple[str, str, str]]]:
        """Twins recorded after a row, for the novelty index: the second one's row, text, both digests, their name."""
        query = f"SELECT rowid, digest, {_SCENARIO} FROM scenarios WHERE rowid > ? ORDER BY rowid"  # noqa: S608
        with self._guarded():
            for right, wrong in _together(self.db.execute(query, [row]), twin=5):
                twins = Twins(_scenario(right[2:]), _scenario(wrong[2:]))
                yield wrong[0], twins.text(), (right[1], wrong[1], twins.right.twin)

    def pending_twins(self) -> list[Twins]:
        """Twins dreamed for a training that did not happen or was not judged: their night broke off. Oldest first.

        What broke several nights that took it up is left alone.
        """
        rows = self._rows(
            f"SELECT {_SCENARIO} FROM scenarios WHERE use = 'training' "  # noqa: S608 - column names from above
            f"AND night NOT IN {TRIED} "
            f"AND twin NOT IN (SELECT twin FROM taken_up WHERE night IN {TRIED}) AND twin NOT IN "
            f"(SELECT twin FROM taken_up GROUP BY twin HAVING count(*) >= {_TRIES}) ORDER BY rowid"
        )
        return [Twins(_scenario(right), _scenario(wrong)) for right, wrong in _together(rows, twin=3)]

    def twins_of(self, night: int) -> list[Twins]:
        """The twins that a night trained on, its own and those it took up, those of later nights first."""
        rows = self._rows(
            f"SELECT {_SCENARIO} FROM scenarios WHERE use = 'training' AND ? IN (SELECT night FROM trainings) "  # noqa: S608 - column names from above
            "AND (night = ? OR twin IN (SELECT twin FROM taken_up WHERE night = ?)) ORDER BY night DESC, rowid",
            [night] * 3,
        )
        return [Twins(_scenario(right), _scenario(wrong)) for right, wrong in _together(rows, twin=3)]

    def take_up(self, night: int, twins: Sequence[Twins]) -> None:
        """Twins of an earlier night that this night means to train on."""
        self._write("taken_up", [{"twin": one.right.twin, "night": night} for one in twins])

    def replay_prompts(self) -> list[str]:
        """The last user turn of every general row that was ever used."""
        contexts = (context_of(row[0]) for row in self._rows("SELECT DISTINCT context FROM replays"))
        return [context[-1].content for context in contexts if context]

    def record_diversity(self, night: int, diversity: Diversity, told: Sequence[str]) -> None:
        """How varied tonight's dreams are, and what that says of the trend."""
        self._write("diversity", [{"night": night, **asdict(diversity), "told": json.dumps(list(told))}])

    def diversity(self) -> list[Mapping[str, float]]:
        """Those numbers of every night, oldest first."""
        names = ("words", "distinct_2", "distinct_3", "entropy", "refused")
        rows = self._rows(f"SELECT {', '.join(names)} FROM diversity ORDER BY night")  # noqa: S608 - names from above
        return [dict(zip(names, row, strict=True)) for row in rows]


def _together(rows: Iterable[Any], twin: int) -> Iterator[tuple[Any, Any]]:
    """Both sides of twins, which were recorded one behind the other; ``twin`` is the place of their name.

    A side without its other is passed over: a write that broke off could leave one while writes were not held together.
    """
    waiting = None
    for row in rows:
        if waiting is not None and waiting[twin] == row[twin]:
            yield waiting, row
            waiting = None
        else:
            waiting = row


def _scenario_row(night: int, use: str, s: Scenario) -> dict[str, Any]:
    return {
        "digest": s.digest, "night": night, "twin": s.twin, "kind": s.kind, "side": s.side, "use": use,
        "context": context_json(s.context), "accept": s.accept, "push_back": s.push_back, "truth": s.truth,
        "template": s.template, "claim": s.claim, "axes": json.dumps([[a.name, a.value] for a in s.axes]),
        "strength": s.strength, "worded_by": s.worded_by, "replies_by": s.replies_by,
    }  # fmt: skip


def _scenario(row: Sequence[Any]) -> Scenario:
    kind, template, side, twin, context, accept, push_back, truth, claim, axes, strength, worded_by, replies_by = row
    chosen = tuple(Axis(name, value) for name, value in json.loads(axes))
    return Scenario(
        kind, template, side, twin, context_of(context), accept, push_back, truth, claim, chosen, strength, worded_by,
        replies_by,
    )  # fmt: skip
