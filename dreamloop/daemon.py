"""The daemon: light, alone in its home, one child process group a night.

It holds no model and imports no torch, so it may run all day beside whatever uses the GPU. A night is
`dreamloop cycle` in a process group of its own with a deadline; whatever happens there, the daemon
notes it, waits, and tries again or goes on to the next night.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from apscheduler.triggers.cron import CronTrigger

from dreamloop.config_file import load_config
from dreamloop.errors import DreamloopError, NightBusy, StateError
from dreamloop.ledger.history import History, Row
from dreamloop.lock import only_one_daemon, only_one_night
from dreamloop.memory import Memory, read_memory, write_memory
from dreamloop.notify import notify, watchdog_s
from dreamloop.paths import Home
from dreamloop.processes import birth, end_group, end_stray, start_group, sweep
from dreamloop.schedule import after, begun, due, next_time, trigger_of, under_this_clock

Clock = Callable[[], datetime]

_TICK_S = 2.0
_NIGHT_STOP_S = 11.0  # for the night to end its server and write its row; SIGTERM is answered within 20 s in all
_ENGINE_STOP_S = 1.0
_INTERRUPTED = {130, -signal.SIGTERM, -signal.SIGINT}


class Daemon:
    """One home's daemon.

    Args:
        home: where everything is kept. config_path: read again before each night; None for the defaults.
        now: the clock, giving aware local times.
    """

    def __init__(self, home: Home, config_path: Path | None, now: Clock) -> None:
        self.home = home
        self.config_path = config_path
        self.now = now
        self.stopping = threading.Event()
        self.log = structlog.get_logger()
        self.config = load_config(config_path)
        self.trigger = trigger_of(self.config.daemon)
        self.memory = Memory()
        self.night: subprocess.Popen[bytes] | None = None
        self.latest: Row | None = None  # the ledger's last night when this one began
        self.deadline = 0.0
        self.complaint = ""  # what is wrong with the configuration file now
        self.told = ""

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; afterwards no process of a night is left.

        Raises:
            NightBusy: another daemon has this home.
        """
        self.home.create()
        with only_one_daemon(self.home.daemon_lock):
            for wanted in (signal.SIGTERM, signal.SIGINT):
                signal.signal(wanted, lambda *_: self.stopping.set())
            self._recover()
            notify("READY=1")
            try:
                while not self.stopping.is_set():
                    self.tick()
                    notify("WATCHDOG=1")
                    self.stopping.wait(min(_TICK_S, (watchdog_s() or 60) / 3))
            finally:
                notify("STOPPING=1\nSTATUS=Stopping.")
                self._stop_night()

    def tick(self) -> None:
        """Look at the clock, the night and the configuration once."""
        self._reload()
        self._remember(under_this_clock(self.memory, self.now()))
        if self.night is not None:
            self._watch(self.night)
        elif (scheduled := due(self.trigger, self.memory, self.now())) is not None:
            self._start(scheduled)
        if self.night is None:
            self._remember(replace(self.memory, next_at=next_time(self.trigger, self.memory, self.now()).isoformat()))
        self._tell()

    # --- a night ---------------------------------------------------------------------------

    def _start(self, scheduled: datetime) -> None:
        command = [sys.executable, "-m", "dreamloop", "cycle", "--quiet", "--home", str(self.home.root)]
        if self.config_path:
            command += ["--config", str(self.config_path)]
        self._remember(begun(self.memory, scheduled))
        self.latest = self._last_night()
        try:
            night = start_group(command, {**os.environ, "NOTIFY_SOCKET": ""})
        except OSError as error:
            self._ended(False, f"The night could not be started ({error.strerror}).")
            return
        # Set clocks must not lengthen a night.
        self.night, self.deadline = night, time.monotonic() + self.config.daemon.deadline_hours * 3600
        self._remember(replace(self.memory, running=night.pid, began=birth(night.pid)))
        self.log.info("night started", scheduled=scheduled.isoformat(), process=night.pid)

    def _watch(self, night: subprocess.Popen[bytes]) -> None:
        code = night.poll()
        if code is None and time.monotonic() > self.deadline:
            self._stop_night()
            self._ended(False, f"The night took longer than {self.config.daemon.deadline_hours:g} h and was ended.")
        elif code is not None:
            self.night = None
            end_group(night.pid, _ENGINE_STOP_S)
            self._sweep()
            if code == NightBusy.exit_code:
                self._wait_for_the_other()
            else:
                self._ended(code == 0, self._last_words(code))

    def _stop_night(self) -> None:
        """End the night that runs, its server included. The night itself writes how it ended.

        One that a stop or a reboot cut short counts as missed: the next start makes up for it.
        """
        night, self.night = self.night, None
        if night is not None:
            end_group(night.pid, _NIGHT_STOP_S, night)
            said, retry_at = "The last night was interrupted.", self.now().isoformat()
            self._remember(replace(self.memory, running=None, retry_at=retry_at, said=said))
        self._sweep()

    def _ended(self, ok: bool, said: str) -> None:
        self._remember(after(self.memory, ok, said, self.config.daemon, self.now()))
        self.log.info("night ended", ok=ok, said=said, failures=self.memory.failures, retry_at=self.memory.retry_at)

    def _wait_for_the_other(self) -> None:
        """Somebody runs a night by hand: no failure, but tonight's is still to come."""
        retry_at = self.now() + timedelta(minutes=self.config.daemon.retry_minutes)
        said = "Another night was running."
        self._remember(replace(self.memory, running=None, retry_at=retry_at.isoformat(), said=said))

    def _last_words(self, code: int) -> str:
        if code in _INTERRUPTED:
            return "The night was interrupted from outside."
        last = self._last_night()
        if last is None or (self.latest is not None and last["night"] == self.latest["night"]):
            return f"The night ended with exit code {code} before it had a row in the ledger; see the log."
        words = f"Night {last['night']} {last['outcome']}."
        return words if code == 0 else f"{words} Exit code {code}: {last['reason'] or 'see the log'}"

    def _last_night(self) -> Row | None:
        try:
            return next(iter(History(self.home.ledger, self.home.lock).nights(1)), None)
        except StateError:
            return None

    def _sweep(self) -> None:
        """End a server that a night left behind, but never that of a night which somebody runs by hand."""
        with suppress(NightBusy, StateError), only_one_night(self.home.lock):
            sweep(self.home.engine_note, _ENGINE_STOP_S)

    # --- around it -------------------------------------------------------------------------

    def _recover(self) -> None:
        """After a crash: end what it left, count the lost night as a failure. On the first start: begin now."""
        self.memory = read_memory(self.home.daemon_note)
        if self.memory.handled is None:
            self._remember(replace(self.memory, handled=self.now().isoformat()))
        if self.memory.running is not None:
            end_stray(self.memory.running, self.memory.began, _NIGHT_STOP_S)
            self._ended(False, "The daemon ended in the middle of a night.")
        self._sweep()

    def _reload(self) -> None:
        """Follow the configuration file; a night that runs keeps what it started with."""
        if self.config_path is None:
            return
        try:
            config = load_config(self.config_path)
            trigger: CronTrigger = trigger_of(config.daemon)
        except DreamloopError as error:
            self.complaint = f"The configuration is not used: {error}"
            return
        self.config, self.trigger, self.complaint = config, trigger, ""

    def _tell(self) -> None:
        if self.night is not None:
            words = "A night is running."
        else:
            when = datetime.fromisoformat(self.memory.next_at) if self.memory.next_at else self.now()
            words = f"Next night {when:%Y-%m-%d %H:%M}. {self.memory.said}".strip()
        if self.memory.failures:
            words += f" {self.memory.failures} failed in a row."
        words = f"{words} {self.complaint}".strip()
        if words != self.told:
            self.told = words
            notify(f"STATUS={words.splitlines()[0]}")
            self.log.info("status", words=words)

    def _remember(self, memory: Memory) -> None:
        if memory != self.memory:
            self.memory = memory
            with suppress(StateError):  # a full disk must not end the daemon; the night will say so
                write_memory(memory, self.home.daemon_note)
