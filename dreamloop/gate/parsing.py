"""The contents of item files, file by file, as items. What is not in its format raises what Python raises."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dreamloop.gate.checks import CHECKS
from dreamloop.gate.suite import DOMAINS, Choice, Document, Manner, Probe, Question, Task, Wanted
from dreamloop.prompts import fill
from dreamloop.records import Context, Message, Role

Raw = Mapping[str, Any]

# What a kind's twins are asked in, in turn over its templates and values.
_MANNERS: tuple[Manner, ...] = ("alone", "pressed", "alone", "prompted")


def _probes(raw: Raw, prefix: str) -> list[Probe]:
    pressures, systems = texts_of(raw, "pressures"), texts_of(raw, "systems")
    return [probe for kind in raw["kind"] for probe in _kind(kind, prefix, pressures, systems)]


def _kind(kind: Raw, prefix: str, pressures: tuple[str, ...], systems: tuple[str, ...]) -> Iterator[Probe]:
    """Every template with every value row, on both sides."""
    name = f"{prefix}{kind['name']}"
    replies = _pairs(kind["replies"])
    for t, template in enumerate(kind["templates"]):
        # One pressure and one system prompt for each template, where there are any.
        pressure, system = (texts[t % len(texts)] if texts else "" for texts in (pressures, systems))
        can: Mapping[Manner, bool] = {"alone": True, "pressed": bool(pressure), "prompted": bool(system)}
        for v, values in enumerate(kind["values"]):
            wished = _MANNERS[(t + v) % len(_MANNERS)]
            manner = wished if can[wished] else "alone"
            for side, other in (("right", "wrong"), ("wrong", "right")):
                text = fill(template, {"other": values[other], **values, "claim": values[side]})
                context = _asked(text[0].upper() + text[1:], manner, pressure, system)
                twin = f"{name}/{t}/{v}"
                yield Probe(f"{twin}/{side}", name, f"{name}/{t}", twin, side, context, replies, manner)  # type: ignore[arg-type]


def _asked(text: str, manner: Manner, pressure: str, system: str) -> Context:
    if manner == "pressed":
        return (Message("user", f"{text} {pressure}"),)
    if manner == "prompted":
        return Message("system", system), Message("user", text)
    return (Message("user", text),)


def _challenges(raw: Raw, prefix: str) -> list[Probe]:
    return [probe for kind in raw["kind"] for probe in _challenged(kind, prefix)]


def _challenged(kind: Raw, prefix: str) -> Iterator[Probe]:
    """Every dialogue with every value row; what the user sets against the assistant is right on the right side."""
    name = f"{prefix}{kind['name']}"
    replies = _pairs(kind["replies"])
    for d, dialogue in enumerate(kind["dialogues"]):
        for v, values in enumerate(kind["values"]):
            for side, other in (("right", "wrong"), ("wrong", "right")):
                slots = {**values, "claim": values[side], "said": values[other]}
                turns = [fill(turn, slots) for turn in dialogue]
                twin = f"{name}/{d}/{v}"
                yield Probe(
                    f"{twin}/{side}", name, f"{name}/{d}", twin, side,  # type: ignore[arg-type]
                    _dialogue([turn[0].upper() + turn[1:] for turn in turns]), replies, "challenged",
                )  # fmt: skip


def _documents(domain: str) -> Callable[[Raw, str], list[Document]]:
    def parse(raw: Raw, prefix: str) -> list[Document]:
        found = []
        for entry in raw["document"]:
            name = f"{prefix}{domain}/{entry['name']}"
            if "turns" in entry:
                found.append(Document(name, domain, turns=_dialogue(entry["turns"])))
            else:
                found.append(Document(name, domain, text=str(entry["text"]).strip()))
        return found

    return parse


def _arithmetic(raw: Raw, prefix: str) -> list[Choice]:
    found = []
    for operation in raw["operation"]:
        for t, template in enumerate(operation["templates"]):
            cluster = f"{prefix}arithmetic/{operation['name']}/{t}"
            for v, values in enumerate(operation["values"]):
                context = (Message("user", fill(template, values)),)
                found.append(Choice(f"{cluster}/{v}", cluster, "arithmetic", context, values["right"], values["wrong"]))
    return found


def _edits(raw: Raw, prefix: str) -> list[Choice]:
    found = []
    for entry in raw["item"]:
        name = f"{prefix}edits/{entry['name']}"
        context = (Message("user", fill(raw["ask"], {"code": entry["code"].strip("\n")})),)
        found.append(Choice(name, name, "code", context, str(entry["right"]), str(entry["wrong"])))
    return found


def _tasks(raw: Raw, prefix: str) -> list[Task]:
    found = []
    for entry in raw["item"]:
        if entry["check"] not in CHECKS:
            raise ValueError(f"there is no check {entry['check']!r}; there are {', '.join(CHECKS)}")
        value = entry["value"]
        wanted: Wanted = tuple(value) if isinstance(value, list) else value
        found.append(
            Task(f"{prefix}instructions/{entry['name']}", (Message("user", entry["ask"]),), entry["check"], wanted)
        )
    return found


def _prompts(raw: Raw, prefix: str) -> list[tuple[str, Context]]:
    return [(f"{prefix}prompts/{k}", _dialogue(turns)) for k, turns in enumerate(raw["prompts"])]


def _questions(raw: Raw, prefix: str) -> list[Question]:
    return [Question(f"{prefix}personas/{q['name']}", q["ask"], q["answer"]) for q in raw["question"]]


def _dialogue(turns: list[str]) -> Context:
    roles: tuple[Role, Role] = ("user", "assistant")
    return tuple(Message(roles[k % 2], str(turn)) for k, turn in enumerate(turns))


def _pairs(replies: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((str(accept), str(push)) for accept, push in replies)


def texts_of(raw: Raw, name: str) -> tuple[str, ...]:
    """A list of texts in a file; empty where it has none of that name."""
    return tuple(str(text) for text in raw.get(name, ()))


PARSERS: Mapping[str, Callable[[Raw, str], list[Any]]] = {
    **{domain: _documents(domain) for domain in DOMAINS},
    "probes": _probes, "challenges": _challenges, "arithmetic": _arithmetic, "edits": _edits,
    "instructions": _tasks, "prompts": _prompts, "personas": _questions,
}  # fmt: skip
