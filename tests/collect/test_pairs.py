from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from dreamloop.collect.pairs import collect, in_turn, write_chosen
from dreamloop.collect.sources import find_files
from dreamloop.log import Progress, Silent
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.load import Policy
from dreamloop.model.sampler import Request
from dreamloop.paths import SAMPLES, prompts_folder
from dreamloop.prompts import load_prompt
from dreamloop.records import Correction, Message, Pair, Provenance, Reply

WHERE = Provenance("test", "c", 1, "text correction", "medium")
CORRECTION = Correction((Message("user", "Name a day."),), "The fox.", "No, I asked for a day.", WHERE)


class Scripted:
    """An engine that says what it was given: what a real one writes cannot be arranged."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = replies
        self.asked: list[Request] = []

    def sample(self, requests: Sequence[Request], seed: int, progress: Progress, what: str) -> list[Reply]:
        self.asked += requests
        return list(self.replies)


def written(policy: Policy, encoder: ChatEncoder, reply: Reply) -> tuple[str, Pair | None]:
    hint = load_prompt(prompts_folder(), "rewrite")
    (result,) = write_chosen([CORRECTION], Scripted(reply), policy, encoder, hint, 1024, 0, Silent())
    return result.outcome, result.pair


def test_the_samples_give_both_signals_and_no_trap_becomes_one() -> None:
    collected = collect(find_files([SAMPLES]), {}, Silent())
    assert sum(read.conversations for read in collected.reads) >= 40
    assert {pair.provenance.signal for pair in collected.pairs} == {"ranked siblings"}
    corrections = [item.correction for item in collected.corrections]
    assert len(corrections) >= 8
    assert not [text for text in corrections if "covers everything" in text or "90 degrees" in text]
    everything = repr(collected)
    assert "7f3d9b1c2e8a4f60b5d1" not in everything


def test_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    files = find_files([SAMPLES])
    first = collect(files, {}, Silent())
    cursors = {read.path: read.cursor for read in first.reads if read.cursor}
    second = collect(files, cursors, Silent())
    assert (second.pairs, second.corrections) == ((), ())


def test_unknown_and_damaged_values_are_counted_and_the_rest_is_used(tmp_path: Path) -> None:
    good = {"id": "g", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]}
    empty = {"id": "e", "conversations": [{"from": "human", "value": "Hi"}]}
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join(json.dumps(value) for value in (good, {"what": "?"}, empty, 7)) + "\nbroken {\n")
    collected = collect([log], {}, Silent())
    assert {(skip.reason, skip.count) for skip in collected.skips} == {
        ("not a conversation in a known format", 2), ("conversation without a reply", 1), ("not JSON", 1),
    }  # fmt: skip
    assert collected.reads[0].conversations == 1


def test_one_pair_of_each_exchange_comes_before_a_second_of_any() -> None:
    def pair(conversation: str, n: int) -> Pair:
        return Pair((Message("user", f"{n}"),), "a", "b", Provenance("s", conversation, 0, "ranked", "strong"))

    pairs = [pair("x", 1), pair("x", 2), pair("y", 3), pair("x", 4)]
    assert [p.context[0].content for p in in_turn(pairs)] == ["1", "3", "2", "4"]


def test_the_correction_is_a_hint_that_the_pair_does_not_carry(tiny: Policy, tiny_encoder: ChatEncoder) -> None:
    engine = Scripted(Reply("Monday is a day.", "stop", 5))
    hint = load_prompt(prompts_folder(), "rewrite")
    (result,) = write_chosen([CORRECTION], engine, tiny, tiny_encoder, hint, 1024, 0, Silent())
    assert "No, I asked for a day." in engine.asked[0].context[-1].content
    if result.pair:
        assert result.pair.context == CORRECTION.context
    assert result.outcome in {"written", "not likelier than the first reply, even with the correction"}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply("Monday is a", "length", 3), "not finished"),
        (Reply("Monday", "stop", 1), "too short"),
        (Reply("You're right, I apologize: Monday.", "stop", 9), "apologises or gives in instead of answering"),
        (Reply("The fox..", "stop", 4), "too short"),
        (Reply("No, I asked for a day!", "stop", 6), "repeats the correction"),
    ],
)
def test_a_bad_rewrite_is_refused_with_its_reason(
    tiny: Policy, tiny_encoder: ChatEncoder, reply: Reply, reason: str
) -> None:
    assert written(tiny, tiny_encoder, reply) == (reason, None)


def test_a_correction_too_long_for_the_model_is_counted_and_nothing_is_asked(
    tiny: Policy, tiny_encoder: ChatEncoder
) -> None:
    engine = Scripted()
    hint = load_prompt(prompts_folder(), "rewrite")
    (result,) = write_chosen([CORRECTION], engine, tiny, tiny_encoder, hint, 140, 0, Silent())
    assert (result.outcome, engine.asked) == ("too long to rewrite", [])
