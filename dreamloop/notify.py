"""Telling systemd how things are: sd_notify's datagrams, which are a line of text on a socket.

https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

_PATIENCE_S = 1.0  # a listener that does not listen must not stop the daemon


def notify(state: str) -> None:
    """Send e.g. ``READY=1`` or ``STATUS=…``; without a socket in ``$NOTIFY_SOCKET`` nobody is listening."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket
        address = f"\0{address[1:]}"
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.settimeout(_PATIENCE_S)
        channel.connect(address)
        channel.sendall(state.encode())


def watchdog_s() -> float | None:
    """Seconds between signs of life that systemd waits for at most; None where it does not."""
    wanted = os.environ.get("WATCHDOG_USEC", "")
    meant = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(wanted) / 1e6 if wanted.isdigit() and meant else None
