"""Nights that cannot end well: refused, killed, out of disk or memory; yesterday's adapter stays."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from whole_nights import now, run

from dreamloop import cycle
from dreamloop.config import Config, Night
from dreamloop.errors import ConfigError, ModelError, NightBusy, StateError
from dreamloop.keep import generations
from dreamloop.ledger.history import History
from dreamloop.lock import only_one_night
from dreamloop.log import Silent
from dreamloop.paths import Home
from dreamloop.processes import members
from dreamloop.undo import revert

pytestmark = pytest.mark.night


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
