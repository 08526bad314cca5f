"""The command line as people meet it: real processes, exit codes and sentences."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dreamloop.config import Finetune
from dreamloop.config_file import load_config
from dreamloop.finetune.recipe import recipe_of
from dreamloop.ledger.store import Ledger
from dreamloop.lock import only_one_daemon, only_one_night
from dreamloop.memory import Memory, write_memory
from dreamloop.paths import Home


def dreamloop(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dreamloop", *arguments], capture_output=True, text=True, check=False, cwd=cwd
    )


@pytest.fixture
def with_nights(home: Home) -> Home:
    ledger = Ledger(home.ledger)
    for night, outcome in ((1, "kept"), (2, "reverted")):
        ledger.begin(f"2026-01-0{night}T03:30:00+00:00", 0, "{}", {}, "tiny")
        ledger.end(night, f"2026-01-0{night}T03:40:00+00:00", outcome, f"because {outcome}", None)
    ledger.close()
    return home


def test_status_says_what_serves_and_how_the_last_night_went(with_nights: Home) -> None:
    done = dreamloop("status", "--home", str(with_nights.root))
    assert done.returncode == 0
    assert "the base model" in done.stdout
    assert "night 2: reverted. because reverted" in done.stdout


def test_a_killed_night_is_interrupted_and_a_running_one_runs(with_nights: Home) -> None:
    ledger = Ledger(with_nights.ledger)
    ledger.begin("2026-01-03T03:30:00+00:00", 0, "{}", {}, "tiny")
    ledger.close()
    assert "night 3: interrupted" in dreamloop("status", "--home", str(with_nights.root)).stdout
    with only_one_night(with_nights.lock):
        assert "night 3: running" in dreamloop("status", "--home", str(with_nights.root)).stdout


def test_status_tells_when_the_serving_generation_is_gone(with_nights: Home) -> None:
    with_nights.current.symlink_to("generations/000004")
    done = dreamloop("status", "--home", str(with_nights.root))
    assert done.returncode == 0
    assert "damaged   Generation 4" in done.stdout
    assert "--to 0" in done.stdout


def test_status_of_a_daemon_before_its_first_night_says_when_it_comes(home: Home) -> None:
    write_memory(
        Memory(next_at="2026-11-22T03:30:00+01:00", failures=2, said="The model is not here."), home.daemon_note
    )
    with only_one_daemon(home.daemon_lock):
        done = dreamloop("status", "--home", str(home.root))
    assert done.returncode == 0, done.stderr
    assert "nights    none yet" in done.stdout
    assert "next night 2026-11-22 03:30. The model is not here. 2 failed in a row." in done.stdout


def test_history_shows_the_newest_night_first(with_nights: Home) -> None:
    done = dreamloop("history", "--home", str(with_nights.root))
    assert done.stdout.index("because reverted") < done.stdout.index("because kept")


def test_plan_says_what_the_first_night_would_do_and_why(home: Home) -> None:
    done = dreamloop("plan", "--home", str(home.root))
    assert done.returncode == 0, done.stderr
    assert "night.behavioural" in done.stdout
    assert "Small doses first" in done.stdout


def test_nights_that_were_not_kept_in_a_row_wait_until_somebody_says_go_on(with_nights: Home) -> None:
    ledger = Ledger(with_nights.ledger)
    for night in (3, 4, 5):
        ledger.begin(f"2026-01-0{night}T03:30:00+00:00", 0, "{}", {}, "tiny")
        ledger.record_broken(night, recipe_of(Finetune(), 0), [], [], [])
        ledger.end(night, f"2026-01-0{night}T03:40:00+00:00", "reverted", "because", None)
    ledger.close()
    home = str(with_nights.root)
    assert json.loads(dreamloop("plan", "--home", home, "--json").stdout)["act"] == "stop"
    assert json.loads(dreamloop("plan", "--home", home, "--json", "--go-on").stdout)["act"] == "train"
    assert json.loads(dreamloop("plan", "--home", home, "--json").stdout)["act"] == "train"


def test_there_is_nothing_to_go_on_with_before_the_first_night(home: Home) -> None:
    done = dreamloop("plan", "--go-on", "--home", str(home.root))
    assert done.returncode == 5
    assert "runs the first night" in done.stderr


@pytest.mark.parametrize("command", [["status"], ["history"], ["show", "1"], ["revert", "--to", "0"], ["plan"]])
def test_json_is_one_document(with_nights: Home, command: list[str]) -> None:
    done = dreamloop(*command, "--json", "--home", str(with_nights.root))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) is not None


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["status"], 5, "There is no ledger"),
        (["show", "99"], 5, "There is no ledger"),
        (["revert"], 5, "nothing to go back to"),
        (["revert", "--to", "7"], 5, "Generation 7"),
        (["cycle", "--config", "/no/such/file.toml"], 2, "cannot be read"),
        pytest.param(["cycle", "--source", "/no/such/log"], 2, "does not exist", marks=pytest.mark.slow),
        pytest.param(["doctor", "--config", "/no/such/file.toml"], 1, "", marks=pytest.mark.slow),
        (["init", "/proc/dreamloop.toml"], 2, "cannot be written"),
        (["dance"], 2, "No such command"),
        (["cycle", "--speed", "9"], 2, "No such option"),
    ],
)
def test_a_mistake_is_one_sentence_and_an_exit_code(home: Home, arguments: list[str], code: int, words: str) -> None:
    flags = ["--home", str(home.root)] if arguments[0] not in {"dance", "init"} else []
    done = dreamloop(*arguments, *flags)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_source_given_to_init_is_meant_as_seen_from_here(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    assert dreamloop("init", "conf/dreamloop.toml", "--source", "logs", cwd=tmp_path).returncode == 0
    assert load_config(tmp_path / "conf" / "dreamloop.toml").sources == (tmp_path / "logs",)


def test_a_night_that_does_not_exist_is_named(with_nights: Home) -> None:
    done = dreamloop("show", "9", "--home", str(with_nights.root))
    assert done.returncode == 2
    assert "nights 1 to 2" in done.stderr


@pytest.mark.slow
def test_a_home_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = dreamloop("cycle", "--home", str(tmp_path / "file" / "home"))
    assert done.returncode == 5
    assert "cannot be prepared" in done.stderr


@pytest.mark.slow
def test_off_a_terminal_every_log_line_is_json(home: Home, tmp_path: Path) -> None:
    (tmp_path / "dreamloop.toml").write_text("[night]\nkinds = []\n")
    done = dreamloop("cycle", "--home", str(home.root), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "nothing to learn" in done.stdout
    for line in done.stderr.splitlines():
        assert json.loads(line)["event"]
