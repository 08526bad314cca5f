"""Generations on disk: immutable adapters, and the one pointer that says which of them serves.

A candidate becomes a generation by one rename; its manifest is written last, so a folder without a
manifest is no generation. ``current`` is a symlink swapped by one rename. A crash at any instant leaves
``current`` at a whole, gated generation, or absent, which means the base model.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from dreamloop.errors import StateError
from dreamloop.paths import Home
from dreamloop.records import Generation

if TYPE_CHECKING:  # going back to an earlier generation must work without torch
    from dreamloop.model.policy import Policy

WEIGHTS, CONFIG, MANIFEST = "adapter_model.safetensors", "adapter_config.json", "manifest.json"
WHOLE_CONFIG = "config.json"  # where all weights were trained, a generation is a model's folder


@dataclass(frozen=True, slots=True)
class Candidate:
    """A folder that may become a generation, and the digest of the weights that were judged."""

    folder: Path
    digest: str


def write_candidate(policy: Policy, home: Home, number: int) -> Candidate:
    """Save the policy's ``candidate``, flushed to disk and read back, where no reader looks yet.

    Raises:
        StateError: the disk is full or not writable, or the files do not hold what was written.
    """
    folder = home.candidates / f"{number:06d}"
    try:
        shutil.rmtree(folder, ignore_errors=True)
        policy.save("candidate", folder)
        for path in folder.iterdir():
            _flush(path)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise _disk(folder, error) from error
    if not _reads_back(policy, folder):
        shutil.rmtree(folder, ignore_errors=True)
        raise StateError(f"{folder} does not read back as it was written; look after the disk and run again.")
    return Candidate(folder, weights_digest(folder))


def _reads_back(policy: Policy, folder: Path) -> bool:
    try:
        return policy.written("candidate", folder)
    except (OSError, SafetensorError, ValueError, TypeError, KeyError):
        return False


def promote(home: Home, candidate: Candidate, number: int, base_digest: str, parent: int | None) -> Generation:
    """Make a kept candidate a generation: one rename, then the manifest, last of all.

    Raises:
        StateError: its files are no longer those that were judged, or the disk is full or not writable.
    """
    target = _folder(home, number)
    manifest = {
        "number": number,
        "digest": candidate.digest,
        "base_digest": base_digest,
        "parent": parent,
    }
    try:
        if weights_digest(candidate.folder) != candidate.digest:
            raise StateError(
                f"The candidate in {candidate.folder} is not the one that was judged: its files changed on disk, so it "
                "is not kept; look after the disk and run again."
            )
        if target.exists() and not (target / MANIFEST).exists():
            shutil.rmtree(target)  # what a crash between rename and manifest left
        candidate.folder.rename(target)
        scratch = target / f".{MANIFEST}"
        scratch.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        _flush(scratch)
        scratch.rename(target / MANIFEST)
        _flush(target)
    except OSError as error:
        raise _disk(target, error) from error
    return read_generation(home, number)


def remove(home: Home, number: int) -> None:
    """Take a generation back that never served: its proof failed, or its night was killed before."""
    if pointed(home) != number:
        shutil.rmtree(_folder(home, number), ignore_errors=True)


def discard(candidate: Path) -> None:
    """Remove a candidate that was not kept."""
    shutil.rmtree(candidate, ignore_errors=True)


def point(home: Home, number: int | None) -> None:
    """Let ``current`` name a generation, or nothing for the base model, by one atomic rename."""
    try:
        if number is None:
            home.current.unlink(missing_ok=True)
        else:
            read_generation(home, number)
            scratch = home.root / ".current"
            scratch.unlink(missing_ok=True)
            scratch.symlink_to(Path("generations") / f"{number:06d}")
            scratch.replace(home.current)
        _flush(home.root)
    except OSError as error:
        raise _disk(home.current, error) from error


def current(home: Home) -> Generation | None:
    """The generation that serves now; None is the base model.

    Raises:
        StateError: the pointer or the generation is damaged.
    """
    if not home.current.is_symlink():
        return None
    return read_generation(home, _number(home.current.readlink().name, home))


def pointed(home: Home) -> int | None:
    """The number that ``current`` names, even where that generation is damaged: going back must work."""
    name = home.current.readlink().name if home.current.is_symlink() else ""
    return int(name) if name.isdecimal() else None


def parent_of(home: Home, number: int) -> int | None:
    """The generation that ``number`` continued; None for the base model or where nobody knows any more."""
    try:
        parent = json.loads((_folder(home, number) / MANIFEST).read_text(encoding="utf-8"))["parent"]
        return None if parent is None else int(parent)
    except (OSError, ValueError, KeyError, TypeError):
        return max((other for other in all_numbers(home) if other < number), default=None)


def read_generation(home: Home, number: int) -> Generation:
    """A generation by number, its weights checked against its manifest.

    Raises:
        StateError: there is none, or it is damaged.
    """
    folder = _folder(home, number)
    way_out = "choose another with 'dreamloop revert --to N', or the base model with --to 0."
    try:
        manifest: Any = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        noted, base_digest = str(manifest["digest"]), str(manifest["base_digest"])
        digest = weights_digest(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(f"Generation {number} in {folder} is missing or unreadable ({error}); {way_out}") from error
    if digest != noted:
        raise StateError(
            f"Generation {number} in {folder} is damaged: its weights changed since it was kept; {way_out}"
        )
    return Generation(number, str(folder), digest, base_digest)


def all_numbers(home: Home) -> list[int]:
    """Numbers of all whole generations, oldest first."""
    names = (path.parent.name for path in home.generations.glob(f"*/{MANIFEST}"))
    return sorted(int(name) for name in names if name.isdecimal())


def weights_digest(folder: Path) -> str:
    """SHA-256 over the config and weights of an adapter or of a whole model."""
    total = hashlib.sha256()
    paths = [folder / CONFIG, folder / WEIGHTS]
    if (folder / WHOLE_CONFIG).exists():
        paths = [folder / WHOLE_CONFIG, *sorted(folder.glob("model*.safetensors"))]
    for path in paths:
        with path.open("rb") as file:
            for block in iter(lambda: file.read(2**20), b""):
                total.update(block)
    return total.hexdigest()


def _folder(home: Home, number: int) -> Path:
    return home.generations / f"{number:06d}"


def _number(name: str, home: Home) -> int:
    if not name.isdecimal():
        raise StateError(f"{home.current} points to {name!r}, which is no generation; run 'dreamloop revert --to N'.")
    return int(name)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _disk(path: Path, error: Exception) -> StateError:
    why = getattr(error, "strerror", None) or error
    return StateError(f"{path} cannot be written ({why}); free some disk space and run again.")
