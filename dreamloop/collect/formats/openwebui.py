"""Open WebUI chat exports: ``{chat: {history: {messages: {id: {parentId, childrenIds, role, content, …}}}}}``.

A tree of turns. Editing a reply in place keeps the model's words in ``originalContent``, and thumbs are
``annotation.rating`` (1 or -1). Reasoning and tool calls are HTML in the text and are taken out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from dreamloop.collect.formats.turns import text_of
from dreamloop.records import Answer, Context, Exchange, Message

NAME = "openwebui"

_DETAILS = re.compile(r"<details type=\"(?:reasoning|tool_calls|code_interpreter)\".*?</details>\s*", re.DOTALL)
_RANK = {1: 0, -1: 1}  # a liked reply stands above a disliked one


def matches(value: Any) -> bool:
    """A chat with a history of messages by id."""
    return isinstance(_nodes(value), dict)


def exchanges(value: Any) -> list[Exchange]:
    """Every user turn with all its answers, and every answer that was followed up.

    Raises:
        ValueError: damaged, or nobody answered.
    """
    nodes = {key: node for key, node in _nodes(value).items() if isinstance(node, dict)}
    found: list[Exchange] = []
    waiting: list[tuple[str, Context]] = [
        (key, ()) for key, node in nodes.items() if str(node.get("parentId")) not in nodes
    ]
    seen: set[str] = set()
    while waiting:
        key, before = waiting.pop()
        if key in seen:
            raise ValueError("messages that follow one another in a circle")
        seen.add(key)
        node = nodes[key]
        if node.get("role") not in ("user", "assistant", "system"):
            raise ValueError("turn by an unknown speaker")
        context = (*before, Message(node["role"], _text(node)))
        children = _children(node, nodes)
        waiting += [(child, context) for child in children]
        if node["role"] == "user":
            found += _answered(str(value.get("id", "")), context, [nodes[child] for child in children], nodes)
    if not found:
        raise ValueError("conversation without a reply")
    return found


def _answered(
    conversation: str, context: Context, children: list[dict[str, Any]], nodes: dict[str, Any]
) -> Iterator[Exchange]:
    replies = [child for child in children if child.get("role") == "assistant" and child.get("done", True)]
    if replies:
        yield Exchange(conversation, len(context), context, tuple(map(_answer, replies)))
    for reply in replies:
        for follow in (nodes[child] for child in _children(reply, nodes)):
            yield Exchange(conversation, len(context), context, (Answer(_text(reply)),), _text(follow))


def _children(node: dict[str, Any], nodes: dict[str, Any]) -> list[str]:
    listed = node.get("childrenIds")
    return [child for child in listed if isinstance(child, str) and child in nodes] if isinstance(listed, list) else []


def _answer(node: dict[str, Any]) -> Answer:
    annotation = node.get("annotation")
    rating = annotation.get("rating") if isinstance(annotation, dict) else None
    original = node.get("originalContent")
    edited = _DETAILS.sub("", original) if isinstance(original, str) else None
    text = _text(node)
    return Answer(text, _RANK.get(rating) if isinstance(rating, int) else None, edited if edited != text else None)


def _text(node: dict[str, Any]) -> str:
    return _DETAILS.sub("", text_of(node.get("content")))


def _nodes(value: Any) -> Any:
    for key in ("chat", "history", "messages"):
        value = value.get(key) if isinstance(value, dict) else None
    return value
