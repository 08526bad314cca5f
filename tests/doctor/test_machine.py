from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from dreamloop.config import Config
from dreamloop.doctor import machine
from dreamloop.doctor.finding import fault_of
from dreamloop.errors import EngineError
from dreamloop.paths import Home

Usage = namedtuple("Usage", "total used free")


def test_this_machine_can_run_the_tests() -> None:
    assert machine.python().level == machine.libraries().level == "good"


def test_a_library_that_breaks_on_import_is_a_fault_with_its_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "peft.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "peft", raising=False)
    found = machine.libraries()
    assert (found.level, "uninstall -y torchvision" in (found.mend or "")) == ("fault", True)


@pytest.mark.parametrize(("gib", "level"), [(0.5, "fault"), (3, "note"), (50, "good")])
def test_little_room_is_noted_and_too_little_is_a_fault(
    home: Home, monkeypatch: pytest.MonkeyPatch, gib: float, level: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, int(gib * 2**30)))
    assert machine.disk(home).level == level


def test_a_device_that_is_not_there_is_a_fault() -> None:
    assert machine.device(Config()).level == "good"
    for name in ("quantum", "cuda:7"):
        found = machine.device(Config(device=name))
        assert (found.level, bool(found.mend)) == ("fault", True)


def test_an_errors_way_out_becomes_the_mend() -> None:
    found = fault_of("vllm", EngineError("Port 8000 is taken (in use); set vllm.port to another."))
    assert (found.said, found.mend) == ("Port 8000 is taken (in use).", "Set vllm.port to another.")
    assert fault_of("vllm", EngineError("All is lost.")).mend is None


@pytest.mark.slow
@pytest.mark.parametrize("config", ["", "modell = 'x'\n"])
def test_the_command_prints_each_finding_and_leaves_with_one_where_there_is_a_fault(
    home: Home, tmp_path: Path, config: str
) -> None:
    file = tmp_path / "dreamloop.toml"
    file.write_text(config)
    call = [sys.executable, "-m", "dreamloop", "doctor", "--home", str(home.root), "--config", str(file)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == bool(config), done.stdout + done.stderr
    assert ("✗" in done.stdout) == bool(config)
    assert "✓ python" in done.stdout
    findings = json.loads(subprocess.run([*call, "--json"], capture_output=True, text=True, check=False).stdout)
    checks = [found["check"] for found in findings]
    assert checks[:6] == ["python", "disk", "permissions", "state", "units", "libraries"]
    assert checks[6:] == (
        ["config"]
        if config
        else ["config", "schedule", "device", "model", "sources", "replay", "dreams", "gate", "optimizer", "vllm"]
    )
