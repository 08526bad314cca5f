"""Asking a question must not load a deep-learning library."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dreamloop.ledger.store import Ledger
from dreamloop.paths import Home

HEAVY = ("torch", "transformers", "vllm", "peft", "pandas")


@pytest.mark.parametrize(
    "command", [["--help"], ["--version"], ["status"], ["history"], ["show", "1"], ["revert", "--to", "0"]]
)
def test_a_quick_command_imports_nothing_heavy(command: list[str], home: Home) -> None:
    ledger = Ledger(home.ledger)
    ledger.begin("2026-01-01T00:00:00+00:00", 0, "{}", {}, "tiny")
    ledger.close()
    heavy = HEAVY[:-1] if command[0] == "revert" else HEAVY  # writing goes through sqlite-utils, which takes pandas
    flags = [] if command[0].startswith("--") else ["--home", str(home.root)]
    program = (
        "import sys\nfrom dreamloop.cli import main\n"
        f"sys.argv = ['dreamloop', *{[*command, *flags]!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n"
        f"    print('heavy:', [name for name in {heavy!r} if name in sys.modules], 'exit', end.code)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "heavy: [] exit 0" in done.stdout, done.stdout + done.stderr


def test_the_daemon_imports_nothing_heavy() -> None:
    program = (
        f"import sys, dreamloop.daemon\nprint([name for name in {(*HEAVY, 'sqlite_utils')!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
