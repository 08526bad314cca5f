from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamloop.collect.formats import oasst, recognise, sharegpt

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def tree() -> dict[str, Any]:
    """Prompt with two ranked answers; the better one is followed up and answered."""
    follow = {"text": "And tea?", "role": "prompter", "replies": [{"text": "Hot.", "role": "assistant", "rank": 0}]}
    best = {"text": "Good.", "role": "assistant", "rank": 0, "replies": [follow]}
    worst = {"text": "Bad.", "role": "assistant", "rank": 1, "replies": []}
    return {"message_tree_id": "t", "prompt": {"text": "Coffee?", "role": "prompter", "replies": [worst, best]}}


def test_a_tree_gives_its_siblings_its_follow_ups_and_its_deeper_turns() -> None:
    found = oasst.exchanges(tree())
    assert [[a.text for a in e.answers] for e in found] == [["Bad.", "Good."], ["Good."], ["Hot."]]
    assert [e.followed for e in found] == [None, "And tea?", None]
    assert [m.content for m in found[2].context] == ["Coffee?", "Good.", "And tea?"]


def test_a_deleted_reply_is_not_read() -> None:
    raw = tree()
    raw["prompt"]["replies"][0]["deleted"] = True
    assert [a.text for a in oasst.exchanges(raw)[0].answers] == ["Good."]


def test_a_tree_deeper_than_the_stack_is_no_problem() -> None:
    node: dict[str, Any] = {"text": "end", "role": "assistant", "replies": []}
    for k in range(3000):
        role = "prompter" if node["role"] == "assistant" else "assistant"
        node = {"text": str(k), "role": role, "replies": [node]}
    prompt = node if node["role"] == "prompter" else node["replies"][0]
    assert len(oasst.exchanges({"message_tree_id": "deep", "prompt": prompt})) > 1000


def test_sharegpt_gives_every_answer_with_what_came_before_and_after() -> None:
    turns = [("system", "Be short."), ("human", "Hi"), ("gpt", "Hello."), ("human", "No."), ("gpt", "Oh.")]
    found = sharegpt.exchanges({"id": "s", "conversations": [{"from": f, "value": v} for f, v in turns]})
    assert [(e.answers[0].text, e.followed) for e in found] == [("Hello.", "No."), ("Oh.", None)]
    assert [m.role for m in found[1].context] == ["system", "user", "assistant", "user"]


def test_a_piece_that_begins_with_the_assistant_loses_only_its_headless_answer() -> None:
    turns = [("gpt", "... and so on."), ("human", "Why?"), ("gpt", "Because.")]
    found = sharegpt.exchanges({"id": "s", "conversations": [{"from": f, "value": v} for f, v in turns]})
    assert [[m.content for m in e.context] for e in found] == [["Why?"]]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"id": "s", "conversations": [{"from": "human", "value": "Hi"}]}, "conversation without a reply"),
        ({"id": "s", "conversations": [{"from": "ghost", "value": "Hi"}]}, "turn by an unknown speaker"),
        ({"id": "s", "conversations": [{"from": "human", "value": None}]}, "message without text"),
        ({"message_tree_id": "t", "prompt": {"text": "Hi", "replies": []}}, "conversation without a reply"),
        ({"message_tree_id": "t", "prompt": {"replies": []}}, "message without text"),
    ],
)
def test_a_damaged_conversation_has_a_countable_reason(value: dict[str, Any], reason: str) -> None:
    form = recognise(value)
    assert form is not None
    with pytest.raises(ValueError, match=reason):
        form.exchanges(value)


@given(json_values)
def test_a_value_that_is_no_conversation_is_not_recognised_or_damaged_but_never_fails(value: Any) -> None:
    form = recognise(value)
    if form is not None:
        with suppress(ValueError):  # damaged, and said so; anything else would be a bug
            assert form.exchanges(value)
