"""Tonight's most moved replies, with the scores by which the candidate is known wherever it is served.

They are written into the generation, so that a swap can be proven later without the trainer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dreamloop.errors import StateError
from dreamloop.model.encode import Row
from dreamloop.model.policy import Adapter, Policy
from dreamloop.model.score import completion_logprobs
from dreamloop.records import Scores, Witness, Witnesses

FILE = "witnesses.json"
_ROWS = 12  # enough tokens that rounding in bfloat16 averages out to a few hundredths of the change
_LONG = 192  # tokens; adapters are known to fail on prompts over 128 where they work on short ones
_BUDGET = 2048  # tokens that are scored to find the most moved ones


def choose_witnesses(policy: Policy, rows: Sequence[Row], serving: Adapter | None) -> Witnesses:
    """The replies whose tokens moved most from the incumbent to the candidate.

    Args:
        policy: with ``candidate`` and, unless it is None, ``serving`` loaded.
        rows: tonight's pairs, encoded. Shorter ones come first, up to a budget of tokens.
    """
    single = list(_within(sorted((r for row in rows for r in _alone(row)), key=len)))
    with policy.using("candidate"):
        new = completion_logprobs(policy, single)
    with policy.using(serving):
        old = completion_logprobs(policy, single)
    moved = [float((n[0] - o[0]).square().sum()) for n, o in zip(new, old, strict=True)]
    top = sorted(range(len(single)), key=lambda i: -moved[i])[:_ROWS]
    with policy.using(None):
        base = completion_logprobs(policy, [single[i] for i in top])
    found = tuple(
        Witness(single[i].context, single[i].branches[0].tokens, _scores(b), _scores(old[i]), _scores(new[i]))
        for i, b in zip(top, base, strict=True)
    )
    return Witnesses(found, _long_prompt(found))


def write_witnesses(witnesses: Witnesses, folder: Path) -> None:
    """Put them beside a candidate's weights.

    Raises:
        StateError: the disk is full or not writable.
    """
    try:
        (folder / FILE).write_text(json.dumps(asdict(witnesses)), encoding="utf-8")
    except OSError as error:
        raise StateError(f"{folder / FILE} cannot be written ({error.strerror}); free some disk space.") from error


def read_witnesses(folder: Path) -> Witnesses:
    """A generation's witnesses.

    Raises:
        StateError: missing or damaged; such a generation cannot be proven.
    """
    try:
        raw: Any = json.loads((folder / FILE).read_text(encoding="utf-8"))
        rows = tuple(Witness(**{key: tuple(values) for key, values in row.items()}) for row in raw["rows"])
        found = Witnesses(rows, tuple(raw["long_prompt"]))
        if not (found.rows and len(found.long_prompt) > 1):
            raise ValueError("nothing in it")
        return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(
            f"The generation in {folder} has no readable {FILE}, so nothing could prove that a server serves it; "
            "the next kept night will have one."
        ) from error


def _alone(row: Row) -> list[Row]:
    return [Row(row.context, (branch,)) for branch in row.branches]


def _within(rows: Iterable[Row]) -> Iterable[Row]:
    used = 0
    for i, row in enumerate(rows):
        used += len(row)
        if i and used > _BUDGET:
            return
        yield row


def _scores(branches: Sequence[Any]) -> Scores:
    return tuple(float(value) for value in branches[0])


def _long_prompt(rows: Sequence[Witness]) -> tuple[int, ...]:
    tokens: list[int] = []
    while len(tokens) < _LONG:
        for row in rows:
            tokens += [*row.context, *row.tokens]
    return tuple(tokens[:_LONG])
