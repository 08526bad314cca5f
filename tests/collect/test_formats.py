from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamloop.collect.formats import messages, oasst, openai_requests, openwebui, recognise, sharegpt

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


def places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every part of a JSON value."""
    yield here
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*here, key))


def with_part(value: Any, way: tuple[Any, ...], part: Any) -> Any:
    """The value with one part of it replaced."""
    if not way:
        return part
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[way[0]] = with_part(value[way[0]], way[1:], part)
    return copy


CHAT = [{"role": "user", "content": "Tea?"}, {"role": "assistant", "content": "Hot."}]


def test_plain_messages_give_every_answer_and_keep_what_an_edit_replaced() -> None:
    turns = [
        {"role": "developer", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": "Tea?"}, {"type": "image_url", "image_url": {}}]},
        {"role": "assistant", "content": "Hot.", "original_content": "Well, hot I guess."},
        {"role": "user", "content": "Look it up."},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": "99 degrees"},
        {"role": "assistant", "content": "99 degrees."},
    ]
    first, second = messages.exchanges({"id": "c", "messages": turns})
    assert (first.answers[0].text, first.answers[0].original) == ("Hot.", "Well, hot I guess.")
    assert [m.content for m in first.context] == ["Be short.", "Tea?"]
    assert first.followed == "Look it up."
    assert (second.answers[0].text, second.answers[0].original) == ("99 degrees.", None)


@pytest.mark.parametrize(
    "value",
    [
        {"messages": CHAT[:1], "choices": [{"message": CHAT[1], "finish_reason": "stop"}]},
        {"request": {"messages": CHAT[:1]}, "response": {"choices": [{"message": CHAT[1]}]}},
        {"request": {"body": {"messages": CHAT[:1]}}, "response": {"body": {"choices": [{"message": CHAT[1]}]}}},
        {"messages": CHAT[:1], "response": {"id": "r", "choices": [{"message": CHAT[1]}]}},
    ],
)
def test_a_request_log_is_known_however_its_pieces_lie(value: Any) -> None:
    form = recognise(value)
    assert form is not None
    assert form.NAME == openai_requests.NAME
    (found,) = openai_requests.exchanges(value)
    assert [a.text for a in found.answers] == ["Hot."]
    assert [m.content for m in found.context] == ["Tea?"]


def test_all_choices_of_a_response_are_answers_to_its_last_turn() -> None:
    sent = [*CHAT, {"role": "user", "content": "Coffee?"}]
    choices = [{"message": {"content": text}, "finish_reason": "stop"} for text in ("Also hot.", "Hotter.")]
    first, second = openai_requests.exchanges({"messages": sent, "choices": choices})
    assert (first.answers[0].text, first.followed) == ("Hot.", "Coffee?")
    assert [a.text for a in second.answers] == ["Also hot.", "Hotter."]


@pytest.mark.parametrize(
    "choice",
    [{"message": {"content": "Cut o"}, "finish_reason": "length"}, {"message": {"content": None}}, {"text": "x"}],
)
def test_a_response_that_did_not_finish_is_a_countable_reason(choice: Any) -> None:
    with pytest.raises(ValueError, match="without a finished reply"):
        openai_requests.exchanges({"messages": CHAT[:1], "choices": [choice]})


def webui(**extra: Any) -> dict[str, Any]:
    nodes: dict[str, Any] = {
        "u": {"id": "u", "parentId": None, "childrenIds": ["a", "b"], "role": "user", "content": "Tea?"},
        "a": {"id": "a", "parentId": "u", "childrenIds": ["f"], "role": "assistant", "content": "Hot.", **extra},
        "b": {"id": "b", "parentId": "u", "childrenIds": [], "role": "assistant", "content": "Cold."},
        "f": {"id": "f", "parentId": "a", "childrenIds": [], "role": "user", "content": "Thanks."},
    }
    return {"id": "chat", "chat": {"history": {"messages": nodes, "currentId": "f"}}}


def test_an_open_webui_chat_gives_siblings_follow_ups_and_edits() -> None:
    thinking = '<details type="reasoning" done="true"><summary>Thought</summary>hm</details>\n'
    both, followed = openwebui.exchanges(webui(content=f"{thinking}Hot.", originalContent="Tepid."))
    assert [(a.text, a.original) for a in both.answers] == [("Hot.", "Tepid."), ("Cold.", None)]
    assert followed.followed == "Thanks."


def test_thumbs_rank_siblings() -> None:
    raw = webui(annotation={"rating": 1})
    raw["chat"]["history"]["messages"]["b"]["annotation"] = {"rating": -1}
    assert [a.rank for a in openwebui.exchanges(raw)[0].answers] == [0, 1]


def test_a_circle_of_messages_is_a_countable_reason() -> None:
    raw = webui()
    raw["chat"]["history"]["messages"]["f"]["childrenIds"] = ["u"]
    with pytest.raises(ValueError, match="circle"):
        openwebui.exchanges(raw)


@given(json_values)
def test_odd_pieces_of_a_known_format_are_counted_and_never_crash(odd: Any) -> None:
    for value in (
        {"messages": [{"role": "user", "content": odd}, {"role": "assistant", "content": odd}]},
        {"messages": CHAT, "choices": [odd]},
        {"messages": CHAT[:1], "choices": [{"message": {"content": odd}}], "id": odd},
        {"chat": {"history": {"messages": {"a": odd, "b": {"role": "user", "content": odd, "childrenIds": ["a"]}}}}},
        webui(originalContent=odd, annotation=odd),
        webui(childrenIds=odd),
    ):
        form = recognise(value)
        if form is not None:
            with suppress(ValueError):
                form.exchanges(value)


WHOLE: list[Any] = [
    tree(),
    webui(originalContent="Tepid.", annotation={"rating": 1}),
    {"id": "s", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]},
    {
        "messages": [
            *CHAT,
            {"role": "tool", "content": "x"},
            {"role": "user", "content": [{"type": "text", "text": "?"}]},
        ]
    },
    {"request": {"messages": CHAT[:1]}, "response": {"choices": [{"message": CHAT[1], "finish_reason": "stop"}]}},
]


@given(st.data())
def test_a_conversation_with_any_part_replaced_is_read_or_damaged_but_never_fails(data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(WHOLE))
    for _ in range(data.draw(st.integers(1, 3))):
        way = data.draw(st.sampled_from(list(places(value))))
        value = with_part(value, way, data.draw(json_values))
    form = recognise(value)
    if form is not None:
        with suppress(ValueError):
            form.exchanges(value)
