"""OpenAssistant conversation trees: one tree per JSON line, replies nested, siblings ranked (0 best).

Layout: ``{message_tree_id, prompt: {message_id, text, role, rank, deleted, replies: [...]}}``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dreamloop.records import Answer, Context, Exchange, Message

NAME = "oasst"


def matches(value: Any) -> bool:
    """A tree has an id and a prompt with replies."""
    return isinstance(value, dict) and "message_tree_id" in value and isinstance(value.get("prompt"), dict)


def exchanges(value: Any) -> list[Exchange]:
    """Every prompt that was answered, and every answer that was followed up."""
    found: list[Exchange] = []
    # (prompter node, the turns before it); a stack, because trees may be deeper than Python's own.
    waiting: list[tuple[dict[str, Any], Context]] = [(value["prompt"], ())]
    while waiting:
        node, before = waiting.pop()
        context = (*before, Message("user", _text(node)))
        answers = [reply for reply in _replies(node) if reply.get("role") == "assistant"]
        if not answers:
            continue
        here = Exchange(str(value["message_tree_id"]), len(before), context, tuple(_answer(reply) for reply in answers))
        found.append(here)
        for reply in answers:
            for follow in _replies(reply):
                found.append(replace(here, answers=(_answer(reply),), followed=_text(follow)))
                waiting.append((follow, (*context, Message("assistant", _text(reply)))))
    if not found:
        raise ValueError("conversation without a reply")
    return found


def _answer(node: dict[str, Any]) -> Answer:
    rank = node.get("rank")
    return Answer(_text(node), rank if isinstance(rank, int) else None)


def _replies(node: dict[str, Any]) -> list[dict[str, Any]]:
    replies = node.get("replies")
    if not isinstance(replies, list):
        return []
    return [reply for reply in replies if isinstance(reply, dict) and not reply.get("deleted")]


def _text(node: dict[str, Any]) -> str:
    text = node.get("text")
    if not isinstance(text, str):
        raise ValueError("message without text")
    return text
