"""Prompts and phrase books: Markdown files with declared placeholders.

A file begins with ``placeholders: a, b`` and a blank line. What follows is either one text
(`load_prompt`) or ``## section`` headings with one phrasing per ``- `` bullet (`load_phrases`).
Values are data: they are put in by one pass, so braces inside a value are never read again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dreamloop.errors import ConfigError

SLOT = re.compile(r"\{([a-z_]+)\}")


def fill(text: str, values: Mapping[str, str]) -> str:
    """Replace every ``{name}`` of ``text`` by its value, once, without looking at the result."""
    return SLOT.sub(lambda slot: values[slot.group(1)], text)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One text with its declared placeholders."""

    name: str
    placeholders: frozenset[str]
    text: str

    def render(self, **values: str) -> str:
        """The text with every placeholder filled.

        Raises:
            ConfigError: a value is missing or was never declared.
        """
        if set(values) != self.placeholders:
            raise ConfigError(f"The prompt {self.name} takes {sorted(self.placeholders)}, not {sorted(values)}.")
        return fill(self.text, values)


@dataclass(frozen=True, slots=True)
class Phrases:
    """A phrase book: named sections of interchangeable phrasings."""

    name: str
    placeholders: frozenset[str]
    sections: Mapping[str, tuple[str, ...]]

    def __getitem__(self, section: str) -> tuple[str, ...]:
        """The phrasings of one section.

        Raises:
            ConfigError: the file has no such section.
        """
        if section not in self.sections:
            raise ConfigError(
                f"The phrase book {self.name} has no section '## {section}'; it has {sorted(self.sections)}."
            )
        return self.sections[section]


def load_prompt(folder: Path, name: str) -> Prompt:
    """Read ``folder/name.md`` as one text."""
    placeholders, body = _read(folder / f"{name}.md")
    _check_slots(name, placeholders, body)
    return Prompt(name, placeholders, body.strip())


def load_phrases(folder: Path, name: str) -> Phrases:
    """Read ``folder/name.md`` as sections of bullets."""
    placeholders, body = _read(folder / f"{name}.md")
    _check_slots(name, placeholders, body)
    sections: dict[str, tuple[str, ...]] = {}
    for block in re.split(r"^## ", body, flags=re.MULTILINE)[1:]:
        title, _, bullets = block.partition("\n")
        lines = tuple(line[2:].strip() for line in bullets.splitlines() if line.startswith("- "))
        if not lines:
            raise ConfigError(f"The phrase book {name} has an empty section '## {title}'; give it a '- ' line.")
        sections[title.strip()] = lines
    return Phrases(name, placeholders, sections)


def _read(path: Path) -> tuple[frozenset[str], str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The prompt file {path} cannot be read ({error}); restore it from the release.") from error
    head, _, body = text.partition("\n")
    if not head.startswith("placeholders:"):
        raise ConfigError(f"The prompt file {path} must begin with a line 'placeholders: a, b'.")
    names = head.removeprefix("placeholders:").replace(",", " ").split()
    return frozenset(names), body


def _check_slots(name: str, placeholders: frozenset[str], body: str) -> None:
    used = set(SLOT.findall(body))
    if used != placeholders:
        raise ConfigError(
            f"The prompt {name} declares {sorted(placeholders)} but uses {sorted(used)}; make the two lines agree."
        )
