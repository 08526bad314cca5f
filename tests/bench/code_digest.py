"""Which code a figure came from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import dreamloop
from dreamloop import paths
from dreamloop.paths import SAMPLES


def code_digest(*more: Path) -> str:
    """SHA-256 over the package, its items and prompts, the samples and ``more``: nights of other code are run again."""
    package = Path(dreamloop.__file__).parent
    files = (
        *package.rglob("*.py"), *package.rglob("*.toml"), *paths.prompts_folder().rglob("*.md"),
        *paths.prompts_folder().rglob("*.toml"),
        *(path for path in SAMPLES.rglob("*") if path.is_file()), *more,
    )  # fmt: skip
    total = hashlib.sha256()
    for path in sorted(set(files)):
        total.update(path.read_bytes())
    return total.hexdigest()
