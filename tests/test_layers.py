"""Imports run downward only, and a stage never imports another stage."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import dreamloop

ROOT = Path(dreamloop.__file__).parent
STAGES = {"collect", "dream", "finetune", "gate", "keep", "ledger"}
HOUSE = {
    "config",
    "config_file",
    "paths",
    "prompts",
    "log",
    "lock",
    "processes",
    "notify",
    "memory",
    "schedule",
    "interrupt",
}
WORDS = {"records", "errors"}

# What each part of the house may import, besides itself.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "records": set(),
    **dict.fromkeys(HOUSE, WORDS | HOUSE),
    "model": WORDS | HOUSE,
    **{stage: WORDS | HOUSE | {"model"} for stage in STAGES},
    "cycle": WORDS
    | HOUSE
    | STAGES
    | {"model", "adapt", "material", "night", "settle", "swap", "teachable", "trial", "__init__"},
    "night": WORDS | HOUSE | {"ledger"},
    "material": WORDS | HOUSE | {"collect", "dream", "dreaming", "finetune", "gate", "model", "night", "relearn"},
    "teachable": WORDS | HOUSE | {"dreaming", "gate", "material", "model", "night"},
    "adapt": WORDS | HOUSE | {"course", "dream", "finetune"},
    "course": WORDS | HOUSE | {"dream"},
    "relearn": WORDS | HOUSE | {"dream", "ledger"},
    "dreaming": WORDS | HOUSE | {"dream", "ledger", "model"},
    "trial": WORDS | HOUSE | {"gate", "ledger", "model"},
    "look": WORDS | HOUSE | {"gate", "keep", "model"},
    "settle": WORDS | HOUSE | {"keep", "ledger"},
    "swap": WORDS | HOUSE | {"keep", "ledger", "model"},
    "undo": WORDS | HOUSE | {"keep", "ledger", "settle"},
    "report": WORDS | HOUSE | {"ledger", "keep"},
    "daemon": WORDS | HOUSE | {"ledger"},
    "doctor": WORDS | HOUSE | {"collect", "dream", "finetune", "gate", "keep", "ledger", "model"},
    "cli": WORDS
    | HOUSE
    | STAGES
    | {
        "model",
        "adapt",
        "cycle",
        "undo",
        "swap",
        "look",
        "daemon",
        "doctor",
        "report",
        "__init__",
    },
    "__main__": {"cli"},
    "__init__": set(),
}
HEAVY_LIVES_IN = {
    "torch": {"model", "finetune", "gate"},
    "transformers": {"model"},
    "peft": {"model"},
    "sqlite_utils": {"ledger"},
    "apscheduler": {"daemon", "schedule"},
    "httpx": {"model"},
}


def part_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports_of(path: Path) -> set[str]:
    """Dotted names of everything imported anywhere in a file, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


FILES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_what_lies_below_it(path: Path) -> None:
    part = part_of(path)
    for name in imports_of(path):
        if name.startswith("dreamloop."):
            target = name.split(".")[1]
            target = target if target in MAY_IMPORT else "__init__"
            assert target == part or target in MAY_IMPORT[part], f"{path} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_libraries_live_in_their_rooms(path: Path) -> None:
    for name in imports_of(path):
        library = name.split(".")[0]
        assert part_of(path) in HEAVY_LIVES_IN.get(library, {part_of(path)}), f"{path} imports {name}"
