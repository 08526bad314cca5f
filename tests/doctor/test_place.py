from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from dreamloop.config import Config, Daemon
from dreamloop.doctor.place import permissions, schedule, state, units
from dreamloop.ledger.store import Ledger
from dreamloop.lock import only_one_daemon
from dreamloop.paths import Home

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole search path, for a systemctl of the test's own."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def systemctl(programs: Path, **answers: str) -> None:
    """A systemctl that answers each verb with a word."""
    cases = "".join(f"*{verb.replace('_', '-')}*) echo {word};;\n" for verb, word in answers.items())
    (programs / "systemctl").write_text(f'#!/bin/sh\ncase "$*" in\n{cases}esac\n')
    (programs / "systemctl").chmod(0o700)


def test_a_home_that_is_not_there_yet_is_fine_where_it_can_be_made(tmp_path: Path) -> None:
    found = permissions(Home(tmp_path / "a" / "b"))
    assert (found.level, found.mend) == ("good", None)
    assert not (tmp_path / "a").exists()


def test_a_home_that_others_can_read_is_noted_with_its_mend(home: Home) -> None:
    assert permissions(home).level == "good"
    home.root.chmod(0o755)
    found = permissions(home)
    assert (found.level, found.mend) == ("note", f"chmod 700 {home.root}")


def test_a_home_that_cannot_be_made_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = permissions(Home(tmp_path / "file" / "home"))
    assert (found.level, found.mend) == ("fault", "Name another folder with --home.")


def test_a_generation_that_is_gone_is_a_fault_with_its_mend(home: Home) -> None:
    Ledger(home.ledger).close()
    assert state(home).said == "nights so far: 0; the base model serves"
    home.current.symlink_to("generations/000004")
    found = state(home)
    assert found.level == "fault"
    assert "revert" in (found.mend or "")


def test_a_schedule_that_means_nothing_is_a_fault(home: Home) -> None:
    good = schedule(home, Config(daemon=Daemon(at="03:30", timezone="UTC")), NOON)
    assert (good.level, "2026-11-22 03:30" in good.said) == ("good", True)
    assert schedule(home, Config(daemon=Daemon(cron="61 3 * * *")), NOON).level == "fault"


def test_a_running_daemon_needs_no_unit(home: Home, programs: Path) -> None:
    with only_one_daemon(home.daemon_lock):
        assert units(home).level == "good"
    assert "no systemd" in units(home).said


@pytest.mark.parametrize(
    ("answers", "level", "words"),
    [
        ({"user_is_enabled": "disabled", "system_is_enabled": "not-found"}, "note", "only by hand"),
        ({"is_enabled": "enabled", "is_active": "failed"}, "fault", "enabled but failed"),
        ({"is_enabled": "enabled", "is_active": "active"}, "note", "another state home"),
        ({}, "note", "only by hand"),
    ],
)
def test_units_that_start_no_night_of_this_home_are_told(
    home: Home, programs: Path, answers: dict[str, str], level: str, words: str
) -> None:
    systemctl(programs, **answers)
    found = units(home)
    assert (found.level, words in found.said) == (level, True)
    assert found.mend
