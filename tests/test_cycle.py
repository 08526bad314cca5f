"""Whole nights on the tiny model: the real pipeline, real files, real SQLite, in seconds."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from whole_nights import now, run

from dreamloop import cycle, trial
from dreamloop.config import Config, Night
from dreamloop.finetune.recipe import recipe_of
from dreamloop.finetune.train import train
from dreamloop.gate.reading import load_suite
from dreamloop.keep import generations
from dreamloop.ledger.history import History
from dreamloop.ledger.store import Ledger
from dreamloop.paths import Home
from dreamloop.records import Pair, Verdict

pytestmark = pytest.mark.night


def test_a_night_leaves_a_row_for_everything(home: Home, config: Config) -> None:
    record = run(home, config)
    assert record.night["outcome"] in {"kept", "reverted", "inconclusive"}
    assert [stage["stage"] for stage in record.stages][:5] == ["collect", "load model", "dream", "write", "rewrite"]
    assert record.model is not None
    assert record.model["exactness"] < 1e-4
    assert sum(read["conversations"] for read in record.reads) >= 40
    assert record.training is not None
    assert len(record.training["report"]["trained"]) == 20
    assert len(record.training["report"]["replayed"]) == 7
    assert record.training["report"]["bystanders"] == 3  # 0.6 of five taught twins
    assert len(record.training["report"]["held"]) == 3 * 2 * 4
    assert sum(row["use"] == "bystander" for row in record.scenarios) == 3 * 2
    assert {row["name"] for row in record.measures} >= {"perplexity.prose", "probes.discrimination", "probes.auc"}
    evidence = sqlite3.connect(home.ledger).execute("SELECT count(*) FROM evidence").fetchone()[0]
    assert evidence > 100
    assert record.verdict is not None
    assert record.trials[-1]["reasons"] == record.verdict["reasons"]


@pytest.mark.lenient
def test_a_kept_night_serves_and_the_next_one_continues_it(home: Home, config: Config) -> None:
    first = run(home, config)
    assert generations.pointed(home) == first.night["night"] == 1
    second = run(home, config)
    assert second.model is not None
    assert second.model["incumbent"] == 1
    assert generations.pointed(home) == 2
    assert generations.parent_of(home, 2) == 1
    assert generations.read_generation(home, 1).digest != generations.read_generation(home, 2).digest


@pytest.mark.lenient
def test_where_the_budget_is_spent_the_kept_nights_are_learned_once_more_from_the_base(
    home: Home, config: Config
) -> None:
    spent = config.adapt.model_copy(update={"drift_most": 1e-15})  # of margins that nothing exceeds
    more = config.night.model_copy(update={"replay_share": 0.4})  # than the first night had rows for
    nights = config.night, more, config.night
    first, again, third = (run(home, config.model_copy(update={"adapt": spent, "night": own})) for own in nights)
    assert [record.plan and record.plan["act"] for record in (first, again, third)] == ["train", "rebase", "train"]
    assert first.training is not None
    assert again.training is not None
    assert set(again.training["report"]["trained"]) == set(first.training["report"]["trained"])
    assert (len(first.training["report"]["replayed"]), len(again.training["report"]["replayed"])) == (7, 8)
    missing = {row["reason"]: row["count"] for row in again.skips}
    assert missing["general row that the plan asks for and no source has"] == 6  # of 14: the file has 8
    assert set(again.training["report"]["replayed"]) > set(first.training["report"]["replayed"])
    taught, aside = ({row["kind"] for row in record.scenarios if row["use"] == use}
                     for record, use in ((first, "training"), (again, "bystander")))  # fmt: skip
    assert aside
    assert not taught & aside
    lessons = [row["kind"] for row in again.scenarios if row["use"] == "lesson"]
    assert 3 * sum(kind in taught for kind in lessons) >= 2 * len(lessons) - 2  # two thirds, rounded
    assert generations.pointed(home) == 3
    ledger = Ledger(home.ledger)
    assert (ledger.lineage(2), ledger.lineage(3)) == ([2], [3, 2])
    ledger.close()


def test_the_base_is_asked_once_what_it_could_be_taught_and_before_anything_is_planned(
    home: Home, config: Config
) -> None:
    asking = config.adapt.model_copy(update={"survey_twins": 3})  # one to show, two to ask
    fewer = config.night.model_copy(update={"kinds": config.night.kinds[:-1]})
    nights = fewer, fewer, config.night  # and of a kind that is configured later it is asked then
    records = [run(home, config.model_copy(update={"adapt": asking, "night": night})) for night in nights]
    assert ["survey" in {stage["stage"] for stage in record.stages} for record in records] == [True, False, True]
    assert ["load the base" in {stage["stage"] for stage in record.stages} for record in records] == [True, False, True]
    found = History(home.ledger, home.lock).potentials(config.model)
    assert {one.kind for one in found} == set(config.night.kinds)
    assert all(one.twins == 2 for one in found)
    assert all(record.plan and len(record.plan["kinds"]) == asking.kinds_at_once for record in records)


def test_a_second_night_repeats_no_pair_and_no_scenario(home: Home, config: Config) -> None:
    first, second = run(home, config), run(home, config)
    assert first.training is not None
    assert second.training is not None
    assert not set(first.training["report"]["trained"]) & set(second.training["report"]["trained"])
    contexts = [{row["context"] for row in record.scenarios} for record in (first, second)]
    assert not contexts[0] & contexts[1]
    assert sum(read["conversations"] for read in second.reads) == 0


def test_a_reverted_night_leaves_yesterdays_adapter_and_no_candidate(
    home: Home, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "decide", lambda *_: Verdict("revert", ("this test reverts",)))
    record = run(home, config)
    assert record.night["outcome"] == "reverted"
    assert record.night["reason"] == "this test reverts"
    assert generations.current(home) is None
    assert not list(home.candidates.iterdir())


def test_a_diverging_night_reverts(home: Home, config: Config) -> None:
    wild = config.finetune.model_copy(update={"dpo_learning_rate": 1e5, "sft_learning_rate": 1e5})
    record = run(home, config.model_copy(update={"finetune": wild}))
    assert record.night["outcome"] == "reverted"
    assert generations.pointed(home) is None
    rows = sqlite3.connect(home.ledger).execute("SELECT phase, loss, grad_norm FROM steps").fetchall()
    assert rows  # what led there is in the ledger
    assert record.training is not None
    assert record.training["report"]["symptoms"] is not None


def test_labels_swapped_at_the_door_of_training_are_noticed(
    home: Home, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    eager = config.finetune.model_copy(update={"dpo_learning_rate": 3e-3})

    def swapped(policy: Any, encoder: Any, pairs: Sequence[Pair], *rest: Any) -> Any:
        turned = [Pair(p.context, p.rejected, p.chosen, p.provenance, p.twin) for p in pairs]
        return train(policy, encoder, turned, *rest)

    monkeypatch.setattr(cycle, "train", swapped)
    record = run(home, config.model_copy(update={"finetune": eager, "sources": ()}))
    assert record.night["outcome"] == "reverted"
    assert "taught.discrimination" in record.night["reason"]


def test_nothing_to_learn_trains_nothing(home: Home, config: Config) -> None:
    idle = config.model_copy(update={"sources": (), "night": Night(kinds=())})
    record = run(home, idle)
    assert record.night["outcome"] == "nothing to learn"
    assert record.training is None
    assert record.model is None


def test_after_three_nights_that_were_not_kept_nothing_is_trained(home: Home, config: Config) -> None:
    home.create()
    ledger = Ledger(home.ledger)
    for _ in range(3):
        night = ledger.begin(now().isoformat(), 0, "{}", {}, "tiny")
        ledger.record_broken(night, recipe_of(config.finetune, 0), [], [], [])
        ledger.end(night, now().isoformat(), "reverted", "because", None)
    ledger.close()
    record = run(home, config)
    assert record.night["outcome"] == "nothing to learn"
    assert "plan --go-on" in record.night["reason"]
    assert record.plan is not None
    assert record.plan["act"] == "stop"
    assert record.model is None


def test_dreams_alone_make_a_night(home: Home, config: Config) -> None:
    record = run(home, config.model_copy(update={"sources": ()}))
    assert record.training is not None
    assert len([row for row in record.scenarios if row["use"] == "training"]) == 20


def test_a_training_item_that_is_a_gate_item_is_set_aside(home: Home, config: Config, tmp_path: Path) -> None:
    assert config.gate.items
    probe = load_suite(config.gate.items, shipped=False).probes[0]
    tree = {
        "message_tree_id": "leak",
        "prompt": {
            "text": probe.context[0].content,
            "role": "prompter",
            "replies": [
                {"text": text, "role": "assistant", "rank": rank, "replies": []}
                for rank, text in enumerate(("Yes, good.", "No, bad."))
            ],
        },
    }
    log = tmp_path / "leak.jsonl"
    log.write_text(json.dumps(tree) + "\n")
    record = run(home, config.model_copy(update={"sources": (log,)}))
    assert {"stage": "collect", "reason": "too close to a gate item", "count": 1} in record.skips
    assert History(home.ledger, home.lock).pending() == 0


def test_a_template_that_refuses_a_conversation_costs_that_conversation_only(
    home: Home, config: Config, tmp_path: Path
) -> None:
    strict = tmp_path / "strict"
    shutil.copytree(config.model, strict)
    template = strict / "chat_template.jinja"
    refusal = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    template.write_text(refusal + template.read_text())
    turns = [("system", "Be short."), ("human", "Hi"), ("gpt", "Hello there."), ("human", "No, I asked for less.")]
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps({"id": "s", "conversations": [{"from": who, "value": text} for who, text in turns]}))
    record = run(home, config.model_copy(update={"model": str(strict), "sources": (log,)}))
    assert [row["outcome"] for row in record.rewrites] == ["too long for the model, or refused by its template"]
    assert record.training is not None


def test_a_broken_step_leaves_its_recipe_and_steps_and_sets_its_mined_pairs_aside(home: Home, config: Config) -> None:
    wild = config.finetune.model_copy(update={"dpo_learning_rate": 1e6, "sft": False})
    record = run(home, config.model_copy(update={"finetune": wild}))
    assert record.night["outcome"] == "reverted"
    assert record.training is not None
    assert record.training["report"].keys() == {"steps", "symptoms"}
    assert record.training["report"]["steps"]
    assert record.training["recipe"]["dpo_learning_rate"] == 1e6
    assert History(home.ledger, home.lock).pending() == sum(row["n"] for row in record.mined) - 10


def test_timings_and_versions_are_kept(home: Home, config: Config) -> None:
    started = time.monotonic()
    record = run(home, config)
    assert 0 < record.night["seconds"] <= time.monotonic() - started + 0.1  # stored with one decimal
    assert {"dreamloop", "torch", "transformers", "peft"} <= set(record.night["versions"])


def test_plain_text_is_replayed_and_its_source_is_in_the_ledger(home: Home, config: Config, tmp_path: Path) -> None:
    notes = tmp_path / "notes.md"
    notes.write_text("\n\n".join(f"Note {k}. " + "The lazy dog rests. " * 60 for k in range(6)))
    replay = config.replay.model_copy(update={"text_files": (notes,), "text_share": 0.4})
    run(home, config.model_copy(update={"replay": replay}))
    rows = sqlite3.connect(home.ledger).execute("SELECT source, count(*) FROM replays GROUP BY source").fetchall()
    assert dict(rows) == {"notes.md": 3, "replay.jsonl": 4}


def test_every_optimizer_step_is_a_row_of_the_ledger(home: Home, config: Config) -> None:
    record = run(home, config)
    assert record.training is not None
    told = record.training["report"]["steps"]
    query = "SELECT phase, loss, anchor, grad_norm, entropy, drift FROM steps ORDER BY step"
    rows = sqlite3.connect(home.ledger).execute(query).fetchall()
    names = ("phase", "loss", "anchor", "grad_norm", "entropy", "drift")
    assert rows == [tuple(step[name] for name in names) for step in told]
