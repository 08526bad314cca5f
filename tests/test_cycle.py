"""Whole nights on the tiny model: the real pipeline, real files, real SQLite, in seconds."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch

from dreamloop import cycle, trial
from dreamloop.config import Config, Night
from dreamloop.errors import ConfigError, ModelError, NightBusy, StateError
from dreamloop.finetune.optimizer import read_moments
from dreamloop.finetune.recipe import recipe_of
from dreamloop.finetune.train import train
from dreamloop.gate.reading import load_suite
from dreamloop.keep import generations
from dreamloop.ledger.history import History, NightRecord
from dreamloop.ledger.store import Ledger
from dreamloop.lock import only_one_night
from dreamloop.log import Silent
from dreamloop.model.load import load_policy
from dreamloop.paths import Home
from dreamloop.processes import members
from dreamloop.records import Pair, Verdict
from dreamloop.undo import revert

pytestmark = pytest.mark.night


def now() -> datetime:
    return datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def run(home: Home, config: Config) -> NightRecord:
    number = cycle.run_night(home, config, Silent(), now)
    return History(home.ledger, home.lock).night(number)


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
    assert len(record.training["report"]["held"]) == 3 * 2  # for five taught twins
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
    first, again, third = (run(home, config.model_copy(update={"adapt": spent})) for _ in range(3))
    assert [record.plan and record.plan["act"] for record in (first, again, third)] == ["train", "rebase", "train"]
    assert first.training is not None
    assert again.training is not None
    assert set(again.training["report"]["trained"]) == set(first.training["report"]["trained"])
    assert again.training["report"]["replayed"]
    assert "write" not in {stage["stage"] for stage in again.stages}
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
    records = [run(home, config.model_copy(update={"adapt": asking})) for _ in range(2)]
    assert ["survey" in {stage["stage"] for stage in record.stages} for record in records] == [True, False]
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


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"model": "/no/such/model"}, ModelError, "no config.json"),
        ({"sources": (Path("/no/such/log.jsonl"),)}, ConfigError, "does not exist"),
        ({"night": Night(kinds=("riddles",))}, ConfigError, "no scenario kind 'riddles'"),
    ],
)
def test_a_wrong_setting_is_one_sentence_and_a_failed_night(
    home: Home, config: Config, change: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        cycle.run_night(home, config.model_copy(update=change), Silent(), now)
    record = History(home.ledger, home.lock).night(1)
    assert record.night["outcome"] == "failed"
    assert words in record.night["reason"]


@pytest.mark.lenient
def test_an_adapter_of_another_base_is_refused(home: Home, config: Config, tmp_path: Path) -> None:
    run(home, config)
    other = tmp_path / "other"
    shutil.copytree(config.model, other)
    (other / "extra.json").write_text("{}")
    with pytest.raises(ModelError, match="another base model"):
        cycle.run_night(home, config.model_copy(update={"model": str(other)}), Silent(), now)
    assert generations.pointed(home) == 1


@pytest.mark.lenient
def test_a_damaged_generation_is_refused_and_revert_still_works(home: Home, config: Config) -> None:
    run(home, config)
    with (home.generations / "000001" / generations.WEIGHTS).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x7f")
    with pytest.raises(StateError, match="is damaged"):
        cycle.run_night(home, config, Silent(), now)
    assert revert(home, None, now) == (1, None)
    assert generations.current(home) is None


def test_a_second_night_at_the_same_time_is_refused(home: Home, config: Config) -> None:
    with only_one_night(home.lock), pytest.raises(NightBusy, match="Another night is running"):
        cycle.run_night(home, config, Silent(), now)
    assert not home.ledger.exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_killed_night_changes_nothing_and_the_next_one_says_so(
    home: Home, config: Config, config_file: Path, how: signal.Signals
) -> None:
    command = [sys.executable, "-m", "dreamloop", "cycle", "--home", str(home.root), "--config", str(config_file)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as night:
        assert night.stderr is not None
        for line in night.stderr:
            if "training: DPO" in line or "gate:" in line:
                break
        night.send_signal(how)
        night.communicate()
    assert night.returncode == (-9 if how is signal.SIGKILL else 130)
    assert generations.current(home) is None
    record = run(home, config)
    assert record.night["night"] == 2
    assert History(home.ledger, home.lock).night(1).night["outcome"] == "interrupted"
    assert not list(home.candidates.iterdir())


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_impatient_second_signal_does_not_leave_the_nights_server_behind(
    home: Home, config_file: Path, tmp_path: Path, how: signal.Signals
) -> None:
    deaf = tmp_path / "python"
    deaf.write_text("#!/bin/sh\ntrap '' TERM\nsleep 600 & wait\n")
    deaf.chmod(0o700)
    config_file.write_text(f'engine = "vllm"\n{config_file.read_text()}[vllm]\npython = "{deaf}"\n')
    command = [sys.executable, "-m", "dreamloop", "cycle", "--home", str(home.root), "--config", str(config_file)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as night:
        while not home.engine_note.exists() and night.poll() is None:
            time.sleep(0.1)
        group = json.loads(home.engine_note.read_text())["group"]
        for _ in range(3):
            night.send_signal(how)
            time.sleep(0.3)
        assert night.wait(20) == 130
    assert members(group) == []
    assert not home.engine_note.exists()


@pytest.mark.parametrize("bytes_left", [4_096, 900_000])
def test_a_full_disk_is_one_sentence_and_leaves_yesterdays_adapter(
    home: Home, config: Config, config_file: Path, bytes_left: int
) -> None:
    # The kernel refuses to let any file grow further: the nearest thing to a full disk without being root.
    program = (
        f"import resource, sys\nresource.setrlimit(resource.RLIMIT_FSIZE, ({bytes_left}, {bytes_left}))\n"
        "from dreamloop.cli import main\n"
        f"sys.argv = {['dreamloop', 'cycle', '--home', str(home.root), '--config', str(config_file)]!r}\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    sentences = [line for line in done.stderr.splitlines() if line.startswith("dreamloop:")]
    assert done.returncode == StateError.exit_code, done.stderr
    assert len(sentences) == 1
    assert "disk" in sentences[0]
    assert "Traceback" not in done.stderr
    assert generations.current(home) is None
    assert run(home, config).night["outcome"] in {"kept", "reverted", "inconclusive"}


def test_a_ledger_that_is_no_database_is_refused(home: Home, config: Config) -> None:
    home.ledger.write_text("this is not a database, it is a shopping list " * 100)
    with pytest.raises(StateError, match="cannot be used"):
        cycle.run_night(home, config, Silent(), now)


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


@pytest.mark.lenient
def test_a_night_that_fails_after_the_pointer_moved_is_recorded_as_kept(
    home: Home, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = generations.point

    def point(place: Home, number: int | None) -> None:
        real(place, number)
        raise KeyboardInterrupt

    monkeypatch.setattr(generations, "point", point)
    with pytest.raises(KeyboardInterrupt):
        cycle.run_night(home, config, Silent(), now)
    record = History(home.ledger, home.lock).night(1)
    assert (record.night["outcome"], record.night["generation"]) == ("kept", 1)
    moves = sqlite3.connect(home.ledger).execute("SELECT generation, was FROM pointers").fetchall()
    assert moves == [(1, None)]


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


def with_finetune(config: Config, **knobs: Any) -> Config:
    given = config.model_dump(exclude_defaults=True)
    return Config.model_validate({**given, "finetune": {**given.get("finetune", {}), **knobs}})


@pytest.mark.lenient
def test_kept_moments_go_on_in_the_next_night_and_reverted_ones_are_gone(
    home: Home, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrying = with_finetune(config, carry_optimizer=True)
    run(home, carrying)
    first = read_moments(Path(generations.read_generation(home, 1).path))
    steps = {name: tensor.item() for name, tensor in first.items() if name.endswith("/step")}
    run(home, carrying)
    second = read_moments(Path(generations.read_generation(home, 2).path))
    assert all(second[name].item() > count for name, count in steps.items())
    monkeypatch.setattr(trial, "decide", lambda *_: Verdict("revert", ("this test reverts",)))
    run(home, carrying)
    assert generations.pointed(home) == 2
    assert read_moments(home.current).keys() == second.keys()
    assert all(read_moments(home.current)[name].equal(tensor) for name, tensor in second.items())


@pytest.mark.lenient
def test_nights_of_full_weights_are_kept_as_whole_models_and_go_on(home: Home, config: Config, tmp_path: Path) -> None:
    full = with_finetune(config, method="full")
    run(home, full)
    second = run(home, full)
    assert second.model is not None
    assert second.model["incumbent"] == 1
    assert generations.pointed(home) == 2
    assert {"config.json", "model.safetensors", "tokenizer.json", "manifest.json"} <= {
        p.name for p in home.current.iterdir()
    }
    assert load_policy(str(home.current)).digest != load_policy(config.model).digest
    (home.current / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(StateError, match="damaged"):
        generations.current(home)


@pytest.mark.lenient
def test_an_adapter_cannot_be_continued_as_full_weights(home: Home, config: Config) -> None:
    run(home, config)
    with pytest.raises(ModelError, match="method to 'lora'"):
        run(home, with_finetune(config, method="full"))
    assert generations.pointed(home) == 1


def test_a_night_without_enough_memory_ends_cleanly_with_yesterdays_adapter(
    home: Home, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr("dreamloop.finetune.parts.token_scores", full)
    with pytest.raises(ModelError, match="Memory is not enough to train on 256 tokens at a time"):
        run(home, config)
    assert generations.current(home) is None
    assert not list(home.candidates.iterdir())
    assert History(home.ledger, home.lock).night(1).night["outcome"] == "failed"


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
