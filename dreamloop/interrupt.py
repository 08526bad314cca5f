"""SIGTERM and Ctrl-C end a night alike, and once."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

STOPS = (signal.SIGTERM, signal.SIGINT)
AGAIN_S = 0.1  # by then a finalizer is left
PATIENCE_S = 30.0  # longer than it takes to end a server that does not want to


class Interrupt:
    """A signal handler that raises KeyboardInterrupt, and then lets the night end what it began.

    Signals that follow at once are ignored: they must not cut short what ends the server. Python drops an exception
    that falls into a finalizer or a weak reference's callback (docs.python.org, sys.unraisablehook); such a one is
    raised again behind it. Should one get lost all the same, the next that comes after `PATIENCE_S` is heard.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard = -math.inf

    def __call__(self, *_: object) -> None:
        """Raise KeyboardInterrupt, or nothing so soon after the last."""
        now = self._clock()
        if now - self._heard >= PATIENCE_S:
            self._heard = now
            raise KeyboardInterrupt

    def install(self) -> None:
        """Handle what ends a night from now on."""
        for wanted in STOPS:
            signal.signal(wanted, self)
        told = sys.unraisablehook

        def dropped(unraisable: sys.UnraisableHookArgs) -> None:
            if unraisable.exc_type is KeyboardInterrupt:
                self._heard = -math.inf
                again = threading.Timer(AGAIN_S, os.kill, (os.getpid(), signal.SIGINT))
                again.daemon = True
                again.start()
            else:
                told(unraisable)

        sys.unraisablehook = dropped
