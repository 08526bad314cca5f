from __future__ import annotations

from dataclasses import replace

from dreamloop.gate.probes import probes_of
from dreamloop.gate.survey import behind, examples, survey
from dreamloop.log import Silent
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.policy import Policy
from dreamloop.model.score import completion_logprobs
from dreamloop.records import Message, Potential, Scenario, Twins


def twins(kind: str, name: str, words: int = 3) -> Twins:
    said = " ".join(["word"] * words)
    context = (Message("system", "Be brief."), Message("user", f"{said} right {name}"))
    right = Scenario(kind, f"{kind}/1", "right", name, context, "Yes, it is so.", "No, it is not.", "truth")
    wrong = replace(right, side="wrong", context=(context[0], Message("user", f"{said} wrong {name}")))
    return Twins(right, wrong)


def test_examples_answer_the_right_side_with_yes_and_the_wrong_one_with_no() -> None:
    solved = examples([twins("sums", "a")])
    assert [turn.role for turn in solved] == ["user", "assistant", "user", "assistant"]
    assert [turn.content for turn in solved[1::2]] == ["Yes, it is so.", "No, it is not."]


def test_a_question_comes_behind_its_examples_and_its_system_turn_stays_first() -> None:
    context = behind(examples([twins("sums", "a")]), twins("sums", "b").wrong.context)
    assert [turn.role for turn in context] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert context[-1].content.endswith("wrong b")


def test_the_shortest_twins_of_a_kind_are_shown_and_all_others_asked(tiny: Policy) -> None:
    dreamed = {"sums": [twins("sums", f"s{k}", words=3 + k) for k in range(5)]}
    (found,) = survey(tiny, ChatEncoder(tiny.tokenizer), dreamed, Silent())
    assert (found.kind, found.twins) == ("sums", 4)
    assert 0 <= found.plain <= 4
    assert 0 <= found.shown <= 4
    assert 0 <= found.known <= 4


def test_a_kind_without_enough_fresh_twins_is_told_of_with_none(tiny: Policy) -> None:
    dreamed = {"dates": [twins("dates", "d1")], "sums": []}
    found = survey(tiny, ChatEncoder(tiny.tokenizer), dreamed, Silent())
    assert found == [Potential("dates", 0, 0, 0, 0), Potential("sums", 0, 0, 0, 0)]


def test_what_is_likelier_to_be_said_is_counted_whichever_replies_there_are(tiny: Policy) -> None:
    encoder = ChatEncoder(tiny.tokenizer)
    likely, odd = "the lazy dog answers", "zq xj kv"
    with tiny.using(None):
        rows = [encoder.prose(text, 64) for text in (likely, odd)]
        scores = [branches[0].sum().item() for branches in completion_logprobs(tiny, rows, 64)]
    assert scores[0] != scores[1]
    right, wrong = (likely, odd) if scores[0] > scores[1] else (odd, likely)
    for sides, known in (((right, wrong), 2), ((wrong, right), 0)):
        dreamed = [_saying(f"s{k}", *sides) for k in range(3)]
        (found,) = survey(tiny, encoder, {"sums": dreamed}, Silent())
        assert found.known == known


def _saying(name: str, right: str, wrong: str) -> Twins:
    one = Scenario("sums", "sums/1", "right", name, (Message("user", right),), "Yes.", "No.", "truth")
    return Twins(one, replace(one, side="wrong", context=(Message("user", wrong),)))


def test_what_the_base_tells_apart_is_counted_against_its_own_scores(tiny: Policy) -> None:
    dreamed = [twins("sums", f"s{k}", words=3 + k) for k in range(8)]
    encoder = ChatEncoder(tiny.tokenizer)
    (found,) = survey(tiny, encoder, {"sums": dreamed}, Silent())
    margins = []
    for probe in probes_of(dreamed[1:]):  # the shortest was shown
        (accept, push_back) = probe.replies[0]
        with tiny.using(None):
            row = encoder.branches(encoder.seated(probe.context), (accept, push_back), 1024)
            yes, no = completion_logprobs(tiny, [row], 1024)[0]
        margins.append(no.mean().item() - yes.mean().item())
    assert found.plain == sum(wrong > right for right, wrong in zip(margins[::2], margins[1::2], strict=True))
