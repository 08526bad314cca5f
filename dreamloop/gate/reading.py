"""Item files (TOML) into a suite: the shipped folder, and a user's own on top of it.

A user's folder holds any of the same files in the same format; its items are asked beside the shipped ones
and their names carry ``own/`` in front, so that they can never stand in for each other.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dreamloop.errors import ConfigError
from dreamloop.gate.parsing import PARSERS, Raw, texts_of
from dreamloop.gate.sound import unsound
from dreamloop.gate.suite import DOMAINS, Suite

ITEMS = Path(__file__).resolve().parent / "items"

FILES = tuple(PARSERS)


def load_suite(own: Path | None = None, shipped: bool = True) -> Suite:
    """Read all items.

    Args:
        own: a user's folder with more of them.
        shipped: whether those that come with the project are asked too; without them ``own`` needs every file.

    Raises:
        ConfigError: a file is missing, damaged, empty or of no known name; without items nothing can be kept.
    """
    folders = [(ITEMS, "", {name: ITEMS / f"{name}.toml" for name in FILES})] if shipped else []
    if own is not None:
        folders.append((own, "own/", _own_files(own) if shipped else {name: own / f"{name}.toml" for name in FILES}))
    digest = hashlib.sha256()
    parts = []
    for folder, prefix, paths in folders:
        raw = {}
        for name in sorted(paths):
            content = _bytes(paths[name])
            digest.update(f"{prefix}{name}\0{len(content)}\0".encode() + content)
            raw[name] = _toml(paths[name], content)
        parts.append(_parsed(folder, raw, prefix))
    return _joined(digest.hexdigest(), parts)


def _joined(digest: str, parts: Sequence[Suite]) -> Suite:
    return Suite(
        digest,
        probes=tuple(item for part in parts for item in part.probes),
        documents=tuple(item for part in parts for item in part.documents),
        choices=tuple(item for part in parts for item in part.choices),
        tasks=tuple(item for part in parts for item in part.tasks),
        prompts=tuple(item for part in parts for item in part.prompts),
        personas=tuple(item for part in parts for item in part.personas),
        questions=tuple(item for part in parts for item in part.questions),
    )


def _own_files(folder: Path) -> dict[str, Path]:
    paths = sorted(folder.glob("*.toml"))
    strange = [path.name for path in paths if path.stem not in FILES]
    if strange or not paths:
        raise ConfigError(
            f"gate.items {folder} holds {'the file ' + strange[0] if strange else 'no item file'}; "
            f"item files are named {', '.join(f'{name}.toml' for name in FILES)}."
        )
    return {path.stem: path for path in paths}


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"The gate's item file {path} cannot be read ({error}); restore it from the release."
        ) from error


def _toml(path: Path, content: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode("utf-8"))
    except ValueError as error:
        raise ConfigError(f"The gate's item file {path} is no TOML ({error}); mend it, or restore it.") from error


def _parsed(folder: Path, raw: Mapping[str, Raw], prefix: str) -> Suite:
    """The items of one folder."""
    try:
        found = {name: PARSERS[name](content, prefix) for name, content in raw.items()}
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ConfigError(
            f"The gate's item files in {folder} are not in their format ({error!r}); mend or restore them."
        ) from error
    empty = [name for name, items in found.items() if not items]
    if empty:
        raise ConfigError(f"The gate's item file {folder / empty[0]}.toml holds no items; fill or restore it.")

    def of(*names: str) -> tuple[Any, ...]:
        return tuple(item for name in names for item in found.get(name, ()))

    suite = Suite(
        digest="", probes=of("probes", "challenges"), documents=of(*DOMAINS), choices=of("arithmetic", "edits"),
        tasks=of("instructions"), prompts=of("prompts"), personas=texts_of(raw.get("personas", {}), "personas"),
        questions=of("personas"),
    )  # fmt: skip
    if fault := unsound(suite):
        raise ConfigError(f"In the gate's item files in {folder}, {fault}; mend or restore them.")
    return suite
