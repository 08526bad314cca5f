"""The unit files, judged by systemd itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path(__file__).parent.parent / "systemd"
MOST_EXPOSED = 2.5


def analyze(*arguments: str, runtime: Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    assert program, "systemd-analyze is missing, and nothing else can judge the unit files; install systemd"
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime)}
    return subprocess.run(
        [program, *arguments, "--no-pager"], capture_output=True, text=True, env=environment, check=False
    )


def installed(unit: Path, folder: Path) -> Path:
    """The unit with a program that exists here in place of the one it will have where it is installed."""
    program = folder / "dreamloop"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dreamloop "$@"\n')
    program.chmod(0o755)
    copy = folder / unit.name
    copy.write_text(re.sub(r"ExecStart=\S+", f"ExecStart={program}", unit.read_text()))
    return copy


@pytest.mark.parametrize(("unit", "scope"), [("dreamloop.service", "--system"), ("user/dreamloop.service", "--user")])
def test_systemd_finds_nothing_wrong_with_a_unit(unit: str, scope: str, tmp_path: Path) -> None:
    done = analyze(scope, "verify", str(installed(UNITS / unit, tmp_path)), runtime=tmp_path)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_system_unit_is_hardened(tmp_path: Path) -> None:
    done = analyze(
        "security", "--offline=true", str(installed(UNITS / "dreamloop.service", tmp_path)), runtime=tmp_path
    )
    found = re.search(r"exposure level .*: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found.group(1)) <= MOST_EXPOSED


@pytest.mark.parametrize("unit", ["dreamloop.service", "user/dreamloop.service"])
def test_a_unit_runs_the_daemon_and_ends_all_of_it(unit: str) -> None:
    text = (UNITS / unit).read_text()
    assert re.search(r"^ExecStart=\S+/dreamloop daemon", text, re.MULTILINE)
    for line in ("Type=notify", "KillMode=control-group", "WatchdogSec=2min"):
        assert f"\n{line}\n" in text
