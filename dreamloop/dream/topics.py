"""The topics file: what scenarios are about, by domain. Users add domains of their own without code."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dreamloop.dream.values import states
from dreamloop.errors import ConfigError
from dreamloop.prompts import SLOT

_FEWEST = {"goods": 2, "events": 2, "notes": 1, "lists": 1}


@dataclass(frozen=True, slots=True)
class Listing:
    """A name and the values it may have: a note with what may be stated, a list with what may stand on it."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Topic:
    """One domain's vocabulary."""

    goods: tuple[str, ...]
    events: tuple[str, ...]
    notes: tuple[Listing, ...]
    lists: tuple[Listing, ...]


Topics = Mapping[str, Topic]


def load_topics(files: Sequence[Path]) -> Topics:
    """Read topics files; a domain that several name has what all of them say.

    Raises:
        ConfigError: a file cannot be read, or a domain lacks something.
    """
    raw: dict[str, dict[str, list[str]]] = {}
    for file in files:
        for domain, table in _tables(file).items():
            known = raw.setdefault(domain, {name: [] for name in _FEWEST})
            for name, values in table.items():
                if name not in known or not isinstance(values, list) or not all(isinstance(v, str) for v in values):
                    raise ConfigError(
                        f"In the topics file {file}, {domain}.{name} should be one of {', '.join(_FEWEST)}, "
                        "each a list of texts."
                    )
                known[name] += values
    return {domain: _topic(domain, table) for domain, table in raw.items()}


def _tables(file: Path) -> dict[str, dict[str, object]]:
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"The topics file {file} cannot be read ({error}); mend it.") from error
    loose = [name for name, table in raw.items() if not isinstance(table, dict)]
    if loose:
        raise ConfigError(f"In the topics file {file}, {loose[0]!r} stands outside of a [domain]; put it into one.")
    return raw


def _topic(domain: str, table: Mapping[str, list[str]]) -> Topic:
    for name, fewest in _FEWEST.items():
        if len(set(table[name])) < fewest:
            raise ConfigError(f"The topic {domain!r} needs at least {fewest} different {name}.")
    return Topic(
        tuple(dict.fromkeys(table["goods"])),
        tuple(dict.fromkeys(table["events"])),
        tuple(_listing(domain, line, 3) for line in table["notes"]),
        tuple(_listing(domain, line, 6) for line in table["lists"]),
    )


def _listing(domain: str, line: str, fewest: int) -> Listing:
    name, colon, rest = line.partition(":")
    values = tuple(dict.fromkeys(value.strip() for value in rest.split(",") if value.strip()))
    if not colon or len(values) < fewest:
        raise ConfigError(f"The topic {domain!r} needs 'name: ' and at least {fewest} values in {line!r}.")
    inside = [(a, b) for a in values for b in values if a != b and states(b, (a,))]
    if inside or SLOT.search(line):
        why = f"{inside[0][0]!r} stands inside {inside[0][1]!r}" if inside else "braces are for phrases"
        raise ConfigError(f"The topic {domain!r} has values that cannot be told apart in {line!r}: {why}.")
    return Listing(name.strip(), values)
