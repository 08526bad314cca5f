"""The daemon as systemd starts it: a real process, a real notify socket, real nights on the tiny model."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

import psutil
import pytest

from dreamloop.errors import StateError
from dreamloop.keep import generations
from dreamloop.ledger.history import History, Row
from dreamloop.lock import only_one_night
from dreamloop.memory import Memory, read_memory, write_memory
from dreamloop.paths import Home
from dreamloop.processes import members, note_group, start_group

pytestmark = pytest.mark.night

MAX_RESIDENT_MB = 80
STOP_S = 20


class Running:
    """A daemon under test and everything it told systemd."""

    def __init__(self, process: subprocess.Popen[bytes], listener: socket.socket) -> None:
        self.process = process
        self.listener = listener
        self.said: list[str] = []
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self) -> None:
        with suppress(OSError):
            while True:
                self.said.append(self.listener.recv(4096).decode())

    def heard(self, word: str) -> bool:
        return any(word in said for said in self.said)

    def stop(self) -> float:
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)
        return time.monotonic() - started


@contextmanager
def daemon(home: Home, config_file: Path) -> Iterator[Running]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        path = home.root / f"notify-{time.monotonic_ns()}"
        listener.bind(str(path))
        command = [sys.executable, "-m", "dreamloop", "daemon", "--home", str(home.root), "--config", str(config_file)]
        environment = {**os.environ, "NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "6000000"}
        with (home.root / "daemon.log").open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        running = Running(process, listener)
        try:
            yield running
        finally:
            if process.poll() is None:
                running.stop()


def wait_for(what: Callable[[], bool], seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.1)


def nights(home: Home) -> list[Row]:
    try:
        return History(home.ledger, home.lock).nights(10)
    except StateError:
        return []


def outcomes(home: Home) -> list[str]:
    return [night["outcome"] for night in reversed(nights(home))]


def in_training(home: Home) -> bool:
    """Whether the night that runs has the collected pairs behind it and no ending."""
    if outcomes(home)[-1:] != ["running"]:
        return False
    return bool(History(home.ledger, home.lock).night(len(nights(home))).model)


def schedule(config_file: Path, lines: str) -> None:
    config_file.write_text(f"{config_file.read_text()}[daemon]\n{lines}\n")


def missed(home: Home) -> None:
    """Last night's time went by with no daemon there."""
    write_memory(Memory(handled=(datetime.now().astimezone() - timedelta(days=2)).isoformat()), home.daemon_note)


@pytest.mark.lenient
def test_a_due_night_runs_and_sigterm_in_the_next_one_leaves_its_generation_current(
    home: Home, config_file: Path
) -> None:
    schedule(config_file, 'cron = "* * * * *"')
    with daemon(home, config_file) as running:
        wait_for(lambda: running.heard("READY=1"))
        wait_for(lambda: running.heard("STATUS=Next night"))
        assert psutil.Process(running.process.pid).memory_info().rss < MAX_RESIDENT_MB * 2**20
        wait_for(lambda: outcomes(home)[:1] == ["kept"], 120)
        wait_for(lambda: len(nights(home)) == 2 and in_training(home), 120)
        (child,) = [p.pid for p in psutil.Process(running.process.pid).children()]
        assert running.stop() < STOP_S
        assert running.process.returncode == 0
        assert members(child) == []
        assert running.heard("WATCHDOG=1")
        assert running.heard("STOPPING=1")
    assert outcomes(home) == ["kept", "interrupted"]
    assert generations.pointed(home) == 1
    assert generations.current(home) is not None


def test_missed_nights_are_made_up_for_once(home: Home, config_file: Path) -> None:
    missed(home)
    with daemon(home, config_file) as running:
        wait_for(lambda: running.heard("Night 1 "))
        time.sleep(3)
        assert len(nights(home)) == 1
        next_at = read_memory(home.daemon_note).next_at
        assert next_at is not None
        assert datetime.fromisoformat(next_at) > datetime.now().astimezone()


def test_a_night_that_a_stop_cut_short_is_made_up_for_at_the_next_start(home: Home, config_file: Path) -> None:
    missed(home)
    with daemon(home, config_file) as running:
        wait_for(lambda: in_training(home), 60)
        running.stop()
    with daemon(home, config_file) as running:
        wait_for(lambda: running.heard("Night 2 "), 120)
    assert outcomes(home)[0] == "interrupted"
    assert len(nights(home)) == 2
    assert read_memory(home.daemon_note).failures == 0


def test_a_killed_night_is_noted_and_tried_again(home: Home, config_file: Path) -> None:
    schedule(config_file, "retry_minutes = 0.02")
    missed(home)
    with daemon(home, config_file) as running:
        wait_for(lambda: in_training(home))
        (child,) = psutil.Process(running.process.pid).children()
        child.kill()
        wait_for(lambda: running.heard("1 failed in a row"))
        wait_for(lambda: len(outcomes(home)) == 2 and outcomes(home)[1] in {"kept", "reverted", "inconclusive"})
        wait_for(lambda: read_memory(home.daemon_note).failures == 0)
    assert outcomes(home)[0] == "interrupted"


def test_after_a_killed_daemon_the_next_one_ends_its_night_and_goes_on(home: Home, config_file: Path) -> None:
    missed(home)
    with daemon(home, config_file) as first:
        wait_for(lambda: in_training(home))
        (stray,) = psutil.Process(first.process.pid).children()
        first.process.kill()
        first.process.wait()
    assert members(stray.pid)
    with daemon(home, config_file) as second:
        wait_for(lambda: second.heard("1 failed in a row"))
        assert members(stray.pid) == []
        assert outcomes(home) == ["interrupted"]
        assert read_memory(home.daemon_note).retry_at is not None


def test_a_night_beyond_its_deadline_is_ended(home: Home, config_file: Path) -> None:
    schedule(config_file, "deadline_hours = 0.0003")
    missed(home)
    with daemon(home, config_file) as running:
        wait_for(lambda: running.heard("took longer than"))
        assert psutil.Process(running.process.pid).children() == []


def test_the_server_of_a_night_run_by_hand_is_left_alone(home: Home, config_file: Path, tmp_path: Path) -> None:
    script = tmp_path / "vllm_stand_in.py"
    script.write_text("import time\ntime.sleep(60)\n")
    server = start_group([sys.executable, str(script)], os.environ)
    note_group(home.engine_note, server.pid)
    with only_one_night(home.lock), daemon(home, config_file) as running:
        wait_for(lambda: running.heard("STATUS=Next night"))
        running.stop()
        assert members(server.pid) == [server.pid]
    with daemon(home, config_file) as running:  # now nobody's, it is a stray
        wait_for(lambda: running.heard("STATUS=Next night"))
        assert members(server.pid) == []
    server.wait()


def test_a_second_daemon_in_the_same_home_is_refused(home: Home, config_file: Path) -> None:
    with daemon(home, config_file) as first:
        wait_for(lambda: first.heard("READY=1"))
        command = [sys.executable, "-m", "dreamloop", "daemon", "--home", str(home.root)]
        second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert second.returncode == 3
        assert f"Another daemon is running (process {first.process.pid}" in second.stderr


def test_a_configuration_that_breaks_is_said_and_the_old_schedule_holds(home: Home, config_file: Path) -> None:
    with daemon(home, config_file) as running:
        wait_for(lambda: running.heard("READY=1"))
        good = config_file.read_text()
        config_file.write_text("speed = 9\n")
        wait_for(lambda: running.heard("The configuration is not used"))
        assert running.process.poll() is None
        config_file.write_text(good)
