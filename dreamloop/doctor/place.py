"""The state home and who looks after it: permissions, the ledger, the units."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import datetime

from dreamloop.config import Config
from dreamloop.doctor.finding import Finding, fault, fault_of, good, note
from dreamloop.doctor.machine import existing
from dreamloop.errors import DreamloopError
from dreamloop.keep import generations
from dreamloop.ledger.history import History
from dreamloop.lock import is_held
from dreamloop.memory import read_memory
from dreamloop.paths import Home
from dreamloop.schedule import next_time, trigger_of

_UNIT = "dreamloop.service"
_ASK_S = 5.0
_STEPS = "See 'Run it every night' in the README."


def permissions(home: Home) -> Finding:
    """Whether this user may write the state, and nobody else read it."""
    place = existing(home.root)
    if not os.access(place, os.W_OK | os.X_OK):
        return fault("permissions", f"This user may not write {place}.", "Name another folder with --home.")
    if place != home.root:
        return good("permissions", f"{home.root} will be made on the first night.")
    foreign = sorted(path.name for path in place.iterdir() if path.lstat().st_uid != os.geteuid())
    if foreign and os.geteuid() != 0:
        return fault(
            "permissions", f"Another user owns {', '.join(foreign[:3])} in {place}.",
            f"sudo chown -R {os.geteuid()} {place}",
        )  # fmt: skip
    if place.stat().st_mode & 0o077:
        return note("permissions", f"Other users may look into {place}, where conversations are kept.",
                    f"chmod 700 {place}")  # fmt: skip
    return good("permissions", f"{place} is writable and private")


def state(home: Home) -> Finding:
    """Whether the ledger can be read and the generation that serves is whole."""
    if not home.ledger.exists():
        return good("state", "no night yet")
    try:
        serving = generations.current(home)
        nights = sum(History(home.ledger, home.lock).count().values())
    except DreamloopError as error:
        return fault_of("state", error)
    serves = f"generation {serving.number}" if serving else "the base model"
    return good("state", f"nights so far: {nights}; {serves} serves")


def schedule(home: Home, config: Config, now: datetime) -> Finding:
    """Whether the configured times mean something, and which comes next."""
    try:
        when = next_time(trigger_of(config.daemon), read_memory(home.daemon_note), now)
    except DreamloopError as error:
        return fault_of("schedule", error)
    return good("schedule", f"next night {when:%Y-%m-%d %H:%M %Z}, where the daemon runs")


def units(home: Home) -> Finding:
    """Whether something starts the nights."""
    if is_held(home.daemon_lock):
        return good("units", "the daemon runs")
    if shutil.which("systemctl") is None:
        return note("units", "There is no systemd here, and no daemon runs.",
                    "Let what starts programs on this machine start 'dreamloop daemon'.")  # fmt: skip
    for scope in ("--user", "--system"):
        if _says(["systemctl", scope, "is-enabled", _UNIT]) == "enabled":
            return _enabled(scope, home)
    return note("units", f"No {_UNIT} is enabled and no daemon runs, so nights come only by hand.", _STEPS)


def _enabled(scope: str, home: Home) -> Finding:
    found = _says(["systemctl", scope, "is-active", _UNIT])
    if found != "active":
        return fault("units", f"{_UNIT} is enabled but {found or 'silent'}.", f"systemctl {scope} status {_UNIT}")
    return note("units", f"{_UNIT} is active, but for another state home than {home.root}.",
                "Name its home with --home; the system unit's is /var/lib/dreamloop.")  # fmt: skip


def _says(command: list[str]) -> str:
    """The first word that a command prints; empty when it fails to start or to end."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout.split() or [""])[0]
