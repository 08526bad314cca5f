from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dreamloop.errors import NightBusy, StateError
from dreamloop.lock import is_held, only_one_night


def test_a_second_holder_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\nfrom dreamloop.lock import only_one_night\n"
        "with only_one_night(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    lock = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(NightBusy, match=str(other.pid)), only_one_night(lock):
            pass
        assert is_held(lock)
        other.communicate()
    assert not is_held(lock)
    with only_one_night(lock):
        pass


def test_a_file_left_by_a_dead_process_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("999999\n")
    with only_one_night(tmp_path / "lock"):
        pass


def test_a_lock_that_cannot_be_opened_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(StateError, match="cannot be opened"), only_one_night(tmp_path / "lock"):
        pass


def test_asking_whether_the_lock_is_held_makes_no_file(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "lock")
    assert not (tmp_path / "lock").exists()
