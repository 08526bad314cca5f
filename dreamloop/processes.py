"""Process groups: started apart, ended whole, proven gone.

A server or a night has children of its own, and killing only its first process orphans them with their
memory. So each runs in a group of its own, and ending it means: SIGTERM to the group, a while to tidy
up, SIGKILL to the group, and a look at the process table that nobody of it is left.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

from dreamloop.errors import StateError

_PACE = 0.05  # seconds between two looks at the process table
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_OURS = ("vllm", "dreamloop")


def start_group(
    command: Sequence[str], environment: Mapping[str, str], log: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a command as the leader of its own session and group, deaf to this terminal's Ctrl-C.

    Args:
        command: program and arguments; no shell sees them.
        environment: all of it; nothing is inherited.
        log: where its output goes, appended; None lets it share this process's.

    Raises:
        OSError: the program or the log cannot be opened.
    """
    with ExitStack() as stack:
        output = stack.enter_context(log.open("ab")) if log else None
        return subprocess.Popen(
            list(command), env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip


def members(group: int) -> list[int]:
    """Process ids of the group that still run; zombies hold nothing and do not count."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def end_group(group: int, patience_s: float, leader: subprocess.Popen[bytes] | None = None) -> None:
    """End every process of a group: politely, then not, then proven.

    Args:
        group: its id. patience_s: how long SIGTERM may take.
        leader: this process's own child, if it is one, so that no zombie stays.

    Raises:
        StateError: a process outlived SIGKILL (one stuck in the kernel does).
    """
    for how, wait_s in ((signal.SIGTERM, patience_s), (signal.SIGKILL, 5.0)):
        if not members(group):
            break
        with suppress(ProcessLookupError):
            os.killpg(group, how)
        _wait_until_empty(group, wait_s, leader)
    if leader is not None:
        with suppress(subprocess.TimeoutExpired):
            leader.wait(timeout=1)
    if left := members(group):
        raise StateError(
            f"Processes {left} outlived SIGKILL; look at them with 'ps' and restart the machine if need be."
        )


def note_group(note: Path, group: int) -> None:
    """Write down which group runs, so that the next start can end it if this process cannot.

    Raises:
        StateError: the disk is full or not writable; the group is ended.
    """
    try:
        scratch = note.with_name(f".{note.name}")  # nobody may read half a note
        scratch.write_text(json.dumps({"group": group, "began": birth(group)}) + "\n", encoding="utf-8")
        scratch.replace(note)
    except OSError as error:
        end_group(group, 0)
        raise StateError(f"{note} cannot be written ({error.strerror}); free some disk space.") from error


def sweep(note: Path, patience_s: float) -> None:
    """End the group that a crash left behind, if the note still names one."""
    try:
        left = json.loads(note.read_text(encoding="utf-8"))
        group, began = int(left["group"]), str(left["began"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    end_stray(group, began, patience_s)
    note.unlink(missing_ok=True)


def end_stray(group: int, began: str, patience_s: float) -> bool:
    """End a group noted earlier, unless its number belongs to later, foreign processes; whether it was alive.

    Args:
        group: its id. began: the ``birth`` of its leader. patience_s: how long SIGTERM may take.
    """
    alive = any(_is_of(group, began, member) for member in members(group))
    if alive:
        end_group(group, patience_s)
    return alive


def birth(pid: int) -> str:
    """Which process a number meant: this boot of the machine, and the clock tick in it. Empty where it is gone.

    No clock that somebody can set plays a part. Source: proc_pid_stat(5), field 22.
    """
    try:
        # The command's name stands in parentheses and may itself hold spaces and parentheses.
        tick = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
        return f"{_BOOT.read_text(encoding='ascii').strip()}/{tick}"
    except (OSError, IndexError):
        return ""


def _is_of(group: int, began: str, member: int) -> bool:
    """The leader is known by its birth. An orphan is known by its looks, since its leader's number may be reused."""
    found = birth(member)
    if member == group:
        return bool(found) and found == began
    boot, _, tick = found.rpartition("/")
    noted_boot, _, noted_tick = began.rpartition("/")
    try:
        process = psutil.Process(member)
        looks = " ".join([process.name(), *process.cmdline()]).lower()
        return boot == noted_boot and int(tick) >= int(noted_tick) and any(mark in looks for mark in _OURS)
    except (psutil.Error, ValueError):
        return False


def _wait_until_empty(group: int, wait_s: float, leader: subprocess.Popen[bytes] | None) -> None:
    until = time.monotonic() + wait_s
    while members(group) and time.monotonic() < until:
        if leader is not None:
            leader.poll()
        time.sleep(_PACE)
