"""Where things live on disk: the state home and what lies in it, the shipped prompts and samples.

A home looks like this, all of it mode 0700::

    ledger.db  novelty.db  lock  current -> generations/000041  generations/  candidates/  models/
    daemon.json  daemon.lock    when the next night is due, how the last ones ended
    engine.json  vllm.log    the night's own vLLM server: its process group while it runs, what it said
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dreamloop.errors import StateError

PACKAGE = Path(__file__).resolve().parent
SAMPLES = PACKAGE / "samples"


def prompts_folder() -> Path:
    """The shipped prompts: inside the wheel, or beside the package in a checkout."""
    packaged = PACKAGE / "_prompts"
    return packaged if packaged.is_dir() else PACKAGE.parent / "prompts"


def default_home() -> Path:
    """``$DREAMLOOP_HOME``, a checkout's ``state/``, or the user's XDG state folder, in that order."""
    if named := os.environ.get("DREAMLOOP_HOME"):
        return Path(named).expanduser()
    beside = PACKAGE.parent / "state"
    if (beside / "README.md").is_file():
        return beside
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "dreamloop"


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of one state home. Making a Home touches nothing; ``create`` does."""

    root: Path

    @property
    def ledger(self) -> Path:
        return self.root / "ledger.db"

    @property
    def novelty(self) -> Path:
        return self.root / "novelty.db"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def current(self) -> Path:
        return self.root / "current"

    @property
    def generations(self) -> Path:
        return self.root / "generations"

    @property
    def candidates(self) -> Path:
        return self.root / "candidates"

    @property
    def daemon_lock(self) -> Path:
        return self.root / "daemon.lock"

    @property
    def daemon_note(self) -> Path:
        return self.root / "daemon.json"

    @property
    def engine_note(self) -> Path:
        return self.root / "engine.json"

    @property
    def engine_log(self) -> Path:
        return self.root / "vllm.log"

    @property
    def models(self) -> Path:
        return self.root / "models"

    def create(self) -> None:
        """Make the folders, private to their owner.

        Raises:
            StateError: the place cannot be written.
        """
        try:
            for folder in (self.root, self.generations, self.candidates, self.models):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.root.chmod(0o700)
        except OSError as error:
            raise StateError(
                f"The state home {self.root} cannot be prepared ({error.strerror}); "
                "name a folder that you may write with --home or $DREAMLOOP_HOME."
            ) from error
