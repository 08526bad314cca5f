"""What the gate's trial does around its measures, in whole nights on the tiny model."""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch

from dreamloop import cycle, trial
from dreamloop.config import Config
from dreamloop.finetune.optimizer import FILE as MOMENTS
from dreamloop.gate.measures import compare
from dreamloop.gate.perplexity import score_documents
from dreamloop.keep import generations
from dreamloop.ledger.history import History, NightRecord
from dreamloop.log import Silent
from dreamloop.look import look
from dreamloop.model.policy import Policy
from dreamloop.paths import Home
from dreamloop.records import Change, Measure, Verdict

pytestmark = pytest.mark.night


class Listening(Silent):
    """Remembers what was announced."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    @contextmanager
    def track(self, what: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        self.heard.append(what)
        with super().track(what, total, unit) as advance:
            yield advance


def run(home: Home, config: Config, progress: Silent | None = None) -> NightRecord:
    number = cycle.run_night(home, config, progress or Silent(), lambda: datetime(2026, 11, 21, 3, tzinfo=UTC))
    return History(home.ledger, home.lock).night(number)


def copied(config: Config, tmp_path: Path) -> Path:
    """The night's item files in a folder that a test may change."""
    assert config.gate.items
    own = tmp_path / "own items"
    own.mkdir()
    for path in config.gate.items.glob("*.toml"):
        (own / path.name).write_bytes(path.read_bytes())
    return own


def with_items(config: Config, own: Path) -> Config:
    return config.model_copy(update={"gate": config.gate.model_copy(update={"items": own})})


@pytest.mark.lenient
def test_what_base_and_incumbent_scored_is_looked_up_and_not_measured_again(home: Home, config: Config) -> None:
    first, second = Listening(), Listening()
    run(home, config, first)
    assert {"gate: perplexity, base", "gate: perplexity, candidate"} <= set(first.heard)
    record = run(home, config, second)
    assert "gate: perplexity, candidate" in second.heard
    assert not {"gate: perplexity, base", "gate: perplexity, incumbent"} & set(second.heard)
    assert {"gate: probes, incumbent, lessons", "gate: probes, base, lessons"} <= set(second.heard)
    measures = {row["name"]: row for row in record.measures}
    levels = measures["perplexity.prose"]
    assert levels["base"] != levels["incumbent"] != levels["candidate"]
    assert 0 <= measures["taught.bias"]["candidate"] <= 2


@pytest.mark.lenient
def test_scores_of_other_items_are_not_taken_for_these(home: Home, config: Config, tmp_path: Path) -> None:
    run(home, config)
    own = copied(config, tmp_path)
    with (own / "prose.toml").open("a") as file:
        file.write('[[document]]\nname = "new"\ntext = "One more text, short and plain."\n')
    again = Listening()
    run(home, with_items(config, own), again)
    assert {"gate: perplexity, base", "gate: perplexity, incumbent"} <= set(again.heard)


@pytest.mark.lenient
def test_a_measure_that_raises_reverts_the_night_with_its_reason(
    home: Home, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a damaged vector")

    monkeypatch.setattr("dreamloop.gate.scores.score_geometry", broken)
    record = run(home, config)
    assert record.night["outcome"] == "reverted"
    assert "geometry could not be measured (ValueError: a damaged vector)" in record.night["reason"]
    assert "geometry.collapse" in record.night["reason"]
    assert not sqlite3.connect(home.ledger).execute("SELECT * FROM suite_scores").fetchall()  # they are not whole


@pytest.mark.lenient
def test_a_score_that_is_not_a_number_is_not_looked_up_another_night(
    home: Home, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:

    def broken(*given: Any) -> dict[str, dict[str, float]]:
        found = score_documents(*given)
        return {channel: dict.fromkeys(items, math.nan) for channel, items in found.items()}

    monkeypatch.setattr("dreamloop.gate.scores.score_documents", broken)
    record = run(home, config)
    assert record.night["outcome"] == "reverted"
    assert "a score of the base is not finite" in record.night["reason"]
    assert not sqlite3.connect(home.ledger).execute("SELECT * FROM suite_scores").fetchall()


@pytest.mark.lenient
@pytest.mark.parametrize(("change", "told"), [(-0.2, True), (-0.01, False)])
def test_an_ability_that_fell_is_explained_and_an_open_question_is_not(
    home: Home, config: Config, monkeypatch: pytest.MonkeyPatch, change: float, told: bool
) -> None:

    def fallen(*given: Any) -> list[Measure]:
        fall = Change(change, change - 0.1, change + 0.1, 0.03)
        return [replace(m, tonight=fall) if m.name == "capability.arithmetic" else m for m in compare(*given)]

    monkeypatch.setattr(trial, "compare", fallen)
    record = run(home, config)
    assert record.verdict is not None
    said = [reason for reason in record.verdict["reasons"] if re.match("Alignment tax|Forgetting|Partly", reason)]
    assert len(said) == told
    assert all("arithmetic fell by 0.200" in reason for reason in said)


@pytest.mark.lenient
@pytest.mark.parametrize("name", ["probes", "technical", "personas"])
def test_a_missing_item_file_reverts_the_night(home: Home, config: Config, tmp_path: Path, name: str) -> None:
    own = copied(config, tmp_path)
    (own / f"{name}.toml").unlink()
    record = run(home, with_items(config, own))
    assert record.night["outcome"] == "reverted"
    assert f"{name}.toml cannot be read" in record.night["reason"]
    assert record.verdict is not None
    assert generations.pointed(home) is None


@pytest.mark.lenient
def test_a_step_that_is_too_large_is_judged_at_three_quarters_and_at_half_and_served_as_judged(
    home: Home, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = iter([Verdict("revert", ("too far",)), Verdict("inconclusive", ("far",)), Verdict("keep", ("fine",))])
    monkeypatch.setattr(trial, "decide", lambda *_: next(verdicts))
    monkeypatch.setattr(trial, "too_large", lambda _, verdict, __: verdict.outcome != "keep")
    carrying = config.finetune.model_copy(update={"carry_optimizer": True})
    record = run(home, config.model_copy(update={"finetune": carrying}))
    assert record.night["outcome"] == "kept"
    assert not (home.current / MOMENTS).exists()  # they belong to the whole step
    assert [(row["attempt"], row["scale"], row["outcome"]) for row in record.trials] == [
        (0, 1.0, "revert"), (1, 0.75, "inconclusive"), (2, 0.5, "keep"),
    ]  # fmt: skip
    query = "SELECT change FROM measures WHERE name = 'taught.discrimination' ORDER BY attempt"
    whole, most, half = (row[0] for row in sqlite3.connect(home.ledger).execute(query))
    assert abs(half) < abs(most) < abs(whole)
    seen = look(home, config, False, Silent())
    levels = {row["name"]: row["candidate"] for row in record.measures}
    for measure in seen.measures:
        assert measure.candidate == pytest.approx(levels[measure.name], abs=1e-5)


def test_a_place_between_two_snapshots_is_taken_weight_by_weight(tiny: Policy) -> None:
    from peft import LoraConfig  # noqa: PLC0415 - heavy, only here

    tiny.add_adapter("candidate", LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"), seed=0)
    start = tiny.snapshot("candidate")
    with torch.no_grad():
        for weight in tiny.trainable("candidate").values():
            weight.add_(1.0)
    end = tiny.snapshot("candidate")
    tiny.place(start, end, 0.25)
    for key, weight in tiny.trainable("candidate").items():
        torch.testing.assert_close(weight.detach(), start.weights[key] + 0.25)
    tiny.place(start, end, 1.0)
    assert tiny.moved_since(end) == 0


@pytest.mark.lenient
def test_a_look_at_the_base_alone_finds_no_change(home: Home, config: Config) -> None:
    seen = look(home, config, False, Silent())
    assert seen.generation is None
    assert seen.verdict.outcome == "keep"
    assert {measure.since_base.change for measure in seen.measures} == {0.0}
