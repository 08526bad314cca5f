from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from dreamloop import processes
from dreamloop.processes import birth, end_group, end_stray, members, note_group, start_group, sweep

# A leader with a child; both ignore SIGTERM when told to.
FAMILY = (
    "import signal, subprocess, sys, time\n"
    "if 'deaf' in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "if 'child' not in sys.argv: subprocess.Popen([sys.executable, __file__, 'child', *sys.argv[1:]])\n"
    "time.sleep(60)\n"
)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "dreamloop_family.py"
    file.write_text(FAMILY)
    return file


def family(script: Path, *arguments: str) -> int:
    leader = start_group([sys.executable, str(script), *arguments], os.environ)
    until = time.monotonic() + 20
    while len(members(leader.pid)) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    assert len(members(leader.pid)) == 2
    time.sleep(0.3)  # until the child has set its signal handler
    return leader.pid


def test_a_whole_group_ends_and_is_proven_gone(script: Path) -> None:
    group = family(script)
    end_group(group, 5)
    assert members(group) == []


def test_what_ignores_sigterm_is_killed(script: Path) -> None:
    group = family(script, "deaf")
    started = time.monotonic()
    end_group(group, 0.5)
    assert members(group) == []
    assert time.monotonic() - started < 5


def test_orphans_of_a_killed_leader_are_found_and_ended(script: Path, tmp_path: Path) -> None:
    group = family(script)
    note_group(tmp_path / "note", group)
    os.kill(group, 9)
    os.waitpid(group, 0)
    assert len(members(group)) == 1
    sweep(tmp_path / "note", 5)
    assert members(group) == []
    assert not (tmp_path / "note").exists()


def test_a_foreign_process_with_the_noted_number_is_left_alone(script: Path, tmp_path: Path) -> None:
    group = family(script)
    boot, _, tick = birth(group).rpartition("/")
    for other in (f"{boot}/{int(tick) + 100_000}", f"another-boot/{tick}"):
        (tmp_path / "note").write_text(json.dumps({"group": group, "began": other}))
        sweep(tmp_path / "note", 5)
        assert len(members(group)) == 2
        assert not end_stray(group, other, 5)
    assert end_stray(group, f"{boot}/{tick}", 5)
    assert members(group) == []


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"group": "x", "began": 1}'])
def test_a_damaged_note_ends_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "note").write_text(text)
    sweep(tmp_path / "note", 0)


def test_the_output_goes_to_the_log(tmp_path: Path) -> None:
    leader = start_group([sys.executable, "-c", "print('hello')"], os.environ, tmp_path / "log")
    assert leader.wait(10) == 0
    assert (tmp_path / "log").read_text() == "hello\n"
    assert processes.members(leader.pid) == []
