"""The kinds of scenario, with what is wrong about the wrong side of each."""

from __future__ import annotations

from collections.abc import Mapping

from dreamloop.dream.kinds import aims, arithmetic, calendar, memory, reasoning, software, world
from dreamloop.dream.seeds import Seeder

SEEDERS: Mapping[str, Seeder] = {
    "sums": arithmetic.sums, "products": arithmetic.products, "units": arithmetic.units,
    "dates": calendar.dates, "clock": calendar.clock,
    "notes": memory.notes, "lists": memory.lists, "quotes": memory.quotes, "entries": memory.entries,
    "updates": memory.updates, "constraints": memory.constraints,
    "facts": world.facts, "premises": world.premises,
    "rankings": reasoning.rankings, "code": software.code, "bugs": software.bugs, "commands": software.commands,
    "goals": aims.goals, "opinions": aims.opinions,
}  # fmt: skip

WRONGNESS: Mapping[str, str] = {
    "sums": "arithmetic", "products": "arithmetic", "units": "unit or date", "dates": "unit or date",
    "clock": "unit or date", "notes": "contradiction", "lists": "contradiction", "quotes": "contradiction",
    "entries": "contradiction", "updates": "contradiction", "constraints": "contradiction", "facts": "false fact",
    "premises": "false premise", "rankings": "wrong conclusion", "code": "buggy code", "bugs": "buggy code",
    "commands": "destructive command", "goals": "harm to the goal", "opinions": "opinion",
}  # fmt: skip

# What keeps abilities from being unlearned; arithmetic and code under the names of the gate's capabilities.
TECHNICAL: Mapping[str, frozenset[str]] = {
    "arithmetic": frozenset({"sums", "products", "units", "dates", "clock"}),
    "reasoning": frozenset({"rankings"}),
    "code": frozenset({"code", "bugs", "commands"}),
}

# What a kind is the next step from: the same relation, with a second value that has to be kept apart.
EASIER: Mapping[str, str] = {"quotes": "notes", "entries": "lists", "updates": "notes"}

# Labelled by a judge, because nothing proves them.
UNPROVEN = frozenset({"opinions"})
