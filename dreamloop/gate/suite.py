"""The gate's held-out items: loaded from files, checked, and named by one digest.

Items ship with the project, in ``gate/items/``. Their templates, names, numbers and facts are used
nowhere else; cycle.py drops every training item that comes near one (invariant 5).
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreamloop.errors import ConfigError
from dreamloop.prompts import fill
from dreamloop.records import Context, Message, Side

ITEMS = Path(__file__).resolve().parent / "items"
DOMAINS = ("prose", "code", "chat")


@dataclass(frozen=True, slots=True)
class Probe:
    """One situation; ``replies`` are (accept, push back) pairs, the same for both sides.

    ``cluster`` is the template: what shares its wording is resampled together.
    """

    item: str
    kind: str
    cluster: str
    twin: str
    side: Side
    context: Context
    replies: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Document:
    """One held-out text, or a conversation whose assistant turns are scored (``turns``)."""

    item: str
    domain: str
    text: str = ""
    turns: Context = ()


@dataclass(frozen=True, slots=True)
class Suite:
    """All items of one gate run."""

    digest: str
    probes: tuple[Probe, ...]
    documents: tuple[Document, ...]

    def texts(self) -> list[str]:
        """Every message and document as plain text, to hold training data against."""
        turns = [message.content for probe in self.probes for message in probe.context]
        turns += [message.content for document in self.documents for message in document.turns]
        return turns + [document.text for document in self.documents if document.text]


def load_suite(folder: Path = ITEMS) -> Suite:
    """Read all items.

    Raises:
        ConfigError: a file is missing, damaged or empty; without items nothing can be kept.
    """
    names = ("probes", *DOMAINS)
    raw = {name: _read(folder / f"{name}.toml") for name in names}
    digest = hashlib.sha256()
    for name in names:
        digest.update((folder / f"{name}.toml").read_bytes())
    try:
        probes = tuple(probe for kind in raw["probes"]["kind"] for probe in _probes(kind))
        documents = tuple(_document(domain, d) for domain in DOMAINS for d in raw[domain]["document"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"The gate's item files in {folder} are not in their format ({error!r}); restore them from the release."
        ) from error
    if not probes or not documents:
        raise ConfigError(f"The gate's item files in {folder} hold no items; restore them from the release.")
    return Suite(digest.hexdigest(), probes, documents)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"The gate's item file {path} cannot be read ({error}); restore it from the release."
        ) from error


def _probes(kind: dict[str, Any]) -> list[Probe]:
    """Every template with every value row, on both sides."""
    name = str(kind["name"])
    replies = tuple((str(accept), str(push)) for accept, push in kind["replies"])
    probes = []
    for t, template in enumerate(kind["templates"]):
        for v, values in enumerate(kind["values"]):
            for side in ("right", "wrong"):
                slots = {**values, "claim": values[side]}
                text = fill(template, slots)
                twin = f"{name}/{t}/{v}"
                context = (Message("user", text[0].upper() + text[1:]),)
                probes.append(Probe(f"{twin}/{side}", name, f"{name}/{t}", twin, side, context, replies))
    return probes


def _document(domain: str, raw: dict[str, Any]) -> Document:
    name = f"{domain}/{raw['name']}"
    if "turns" in raw:
        roles = ("user", "assistant")
        turns = tuple(Message(roles[i % 2], str(text)) for i, text in enumerate(raw["turns"]))  # type: ignore[arg-type]
        return Document(name, domain, turns=turns)
    return Document(name, domain, text=str(raw["text"]).strip())
