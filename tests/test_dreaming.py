from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dreamloop.config import Config, Dream, Gate, Night
from dreamloop.dream.novelty import Novelty
from dreamloop.dream.scenarios import HeldOut
from dreamloop.dreaming import Dreaming, provable_kinds
from dreamloop.errors import EngineError
from dreamloop.ledger.history import History
from dreamloop.ledger.store import Ledger
from dreamloop.log import Silent
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.engine import Writer
from dreamloop.model.policy import Policy
from dreamloop.model.sampler import Request, Sampler, TransformersSampler
from dreamloop.model.vllm_client import VllmClient
from dreamloop.model.vllm_sampler import VllmSampler
from dreamloop.model.vllm_server import VllmServer
from dreamloop.records import Axis, Reply, Twins, flatten

CONFIG = Config(night=Night(behavioural=12), gate=Gate(lesson_twins=9))

GRAMMAR = Dream(reworded_share=0, sampled_share=0)


class Dead:
    """A server that died twice."""

    def sample(self, *_: object) -> list[object]:
        raise EngineError("The server died twice tonight.")


class DiesLater:
    """A server that answers once, with nothing of use, and then dies twice."""

    answers = 1

    def sample(self, requests: Sequence[Request], *_: object) -> list[Reply]:
        self.answers -= 1
        if self.answers < 0:
            raise EngineError("The server died twice tonight.")
        return [Reply("", "length", 0)] * len(requests)


class Counted:
    """A sampler that counts what it is asked."""

    def __init__(self, inner: Sampler) -> None:
        self.inner, self.asked = inner, 0

    def sample(self, requests: Sequence[Request], *rest: Any) -> list[Reply]:
        self.asked += len(requests)
        return self.inner.sample(requests, *rest)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.db")


def asleep(ledger: Ledger, config: Config = CONFIG, held_out: HeldOut = lambda _: False) -> Dreaming:
    number = ledger.begin("2026-01-01T00:00:00+00:00", 7, "{}", {}, "tiny")
    index = ledger.path.with_name("novelty.db")
    return Dreaming(
        number, 100 * number, config, config.night.kinds, (), config.dream.technical_share, (), ledger, index, held_out,
        False, Silent(),
    )  # fmt: skip


def texts(twins: list[Twins]) -> set[str]:
    return {flatten(s.context) for one in twins for s in (one.right, one.wrong)}


def test_a_real_engine_writes_and_what_is_missing_comes_from_the_grammar(
    ledger: Ledger, tiny: Policy, tiny_encoder: ChatEncoder
) -> None:
    tonight = asleep(ledger)
    tonight.write(Writer(TransformersSampler(tiny, tiny_encoder), tiny_encoder), 3)
    taught, lessons = tonight.finish(6)
    assert (len(taught), len(lessons)) == (6, 9)
    assert not texts(taught) & texts(lessons)
    reasons = [row[0] for row in ledger.db.execute("SELECT reason FROM skips WHERE stage = 'dream'")]
    assert reasons  # random weights say nothing that passes, and each refusal is counted
    assert {one.right.replies_by for one in taught} == {"grammar"}
    assert ledger.db.execute("SELECT twins FROM diversity").fetchall() == [(15,)]


@pytest.mark.model
def test_a_vllm_server_writes_just_as_well(
    ledger: Ledger, server: VllmServer, client: VllmClient, tiny_encoder: ChatEncoder
) -> None:
    sampler = VllmSampler(client.address, {None: "base"}, tiny_encoder, 16, server.restart)
    tonight = asleep(ledger)
    tonight.write(Writer(sampler, tiny_encoder), 6)
    assert len(tonight.ready) == 6
    reasons = [row[0] for row in ledger.db.execute("SELECT reason FROM skips WHERE stage = 'dream'")]
    assert any(": reply: " in reason or ": in other words: " in reason for reason in reasons)  # it did write


def test_a_night_that_broke_off_leaves_its_twins_to_the_next_one(ledger: Ledger, tiny_encoder: ChatEncoder) -> None:
    broken = asleep(ledger)
    broken.finish(4)
    left = list(broken.ready)
    again = asleep(ledger)
    again.write(_writer(Dead(), tiny_encoder), 4)  # nothing to write: four are left over
    taught, _ = again.finish(4)
    assert taught == left
    told = History(ledger.path, ledger.path.with_name("lock")).night(again.number).scenarios
    assert {row["twin"] for row in told if row["use"] == "training"} == {one.right.twin for one in left}
    third = asleep(ledger)
    third.finish(4)
    assert not texts(third.ready) & texts(left)


def test_a_dead_engine_ends_the_night_and_what_it_accepted_is_trained_on_the_next(
    ledger: Ledger, tiny_encoder: ChatEncoder
) -> None:
    refused = iter([True, True])
    config = Config(night=CONFIG.night, gate=CONFIG.gate, dream=Dream(reworded_share=0.9, sampled_share=0))
    tonight = asleep(ledger, config, held_out=lambda _: next(refused, False))
    with pytest.raises(EngineError):
        tonight.write(_writer(DiesLater(), tiny_encoder), 6)
    accepted = list(tonight.ready)
    assert 0 < len(accepted) < 6
    again = asleep(ledger, config)
    again.write(_writer(Dead(), tiny_encoder), len(accepted))
    assert again.ready == accepted


def test_left_over_twins_of_kinds_that_are_no_longer_wished_for_are_left_alone(
    ledger: Ledger, tiny_encoder: ChatEncoder
) -> None:
    asleep(ledger).finish(4)
    tonight = asleep(ledger, Config(night=Night(kinds=("notes",)), gate=CONFIG.gate, dream=GRAMMAR))
    tonight.write(_writer(Dead(), tiny_encoder), 2)
    taught, _ = tonight.finish(2)
    assert {one.right.kind for one in taught} == {"notes"}


def test_left_over_twins_that_the_gate_asks_by_now_are_dropped_and_counted(
    ledger: Ledger, tiny_encoder: ChatEncoder
) -> None:
    asleep(ledger).finish(2)
    grammar = Config(night=CONFIG.night, gate=CONFIG.gate, dream=GRAMMAR)
    tonight = asleep(ledger, grammar, held_out=lambda _: True)
    tonight.write(_writer(Dead(), tiny_encoder), 2)
    assert tonight.ready == []
    assert ("too close to a gate item", 2) in ledger.db.execute("SELECT reason, count FROM skips").fetchall()


def test_without_its_index_the_next_night_makes_it_anew_from_the_ledger(ledger: Ledger) -> None:
    first = asleep(ledger)
    _, lessons = first.finish(6)
    first.index.unlink()
    second = asleep(ledger)
    second.finish(6)
    index = Novelty(first.index)
    assert all(index.knows(twins.text()) for twins in [*first.ready, *lessons, *second.ready])
    assert index.reached == ledger.last_dream()
    index.close()


def test_an_index_that_is_ahead_of_its_ledger_is_begun_anew(ledger: Ledger) -> None:
    first = asleep(ledger)
    first.finish(2)
    ahead = Novelty(first.index)
    ahead.keep(10**6)
    ahead.close()
    asleep(ledger).finish(2)
    index = Novelty(first.index)
    assert index.reached == ledger.last_dream()
    assert all(index.knows(twins.text()) for twins in first.ready)
    index.close()


def test_most_lessons_are_of_tonights_kinds_and_some_of_the_others(ledger: Ledger) -> None:
    tonight = replace(asleep(ledger), kinds=("notes", "sums"))
    taught, lessons = tonight.finish(6)
    assert {one.right.kind for one in taught} == {"notes", "sums"}
    own = [one for one in lessons if one.right.kind in {"notes", "sums"}]
    assert (len(own), len(lessons)) == (6, 9)


def test_bystanders_are_of_the_other_kinds_and_no_later_night_trains_on_them(ledger: Ledger) -> None:
    tonight = replace(asleep(ledger), kinds=("notes", "sums"))
    tonight.finish(2)
    aside = tonight.bystanders(6, {"notes", "sums", "lists"})
    assert len(aside) == 2 * 4 * 6  # sides, replies, twins
    assert not {one.provenance.conversation for one in aside} & {"notes", "sums", "lists"}
    pending = ledger.pending_twins()
    assert len(pending) == 2
    assert not {one.right.twin for one in pending} & {one.twin for one in aside}
    assert tonight.bystanders(0, ()) == []
    assert (
        len(tonight.bystanders(3, provable_kinds(tonight.config))) == 2 * 4 * 3
    )  # where all are taught, they are of all


def test_tonights_kinds_have_the_nights_own_technical_share_and_what_is_beside_them_the_configured(
    ledger: Ledger,
) -> None:
    config = Config(night=Night(kinds=("notes", "code", "facts", "sums")), gate=Gate(lesson_twins=15), dream=GRAMMAR)
    tonight = replace(asleep(ledger, config), kinds=("notes", "code"), technical_share=0.2)
    taught, lessons = tonight.finish(10)
    held = tonight.bystanders(10, tonight.kinds)
    counts = Counter(one.right.kind for one in lessons)
    assert Counter(one.right.kind for one in taught) == {"notes": 8, "code": 2}
    assert counts == {"notes": 8, "code": 2, "facts": 3, "sums": 2}
    assert Counter(one.provenance.conversation for one in held) == {"facts": 8 * 6, "sums": 8 * 4}


def test_nights_of_bare_dreams_are_not_made_up_for(ledger: Ledger) -> None:
    bare, _ = replace(asleep(ledger), bare=CONFIG.night.kinds).finish(12)
    half, _ = asleep(ledger).finish(12)
    assert [in_bare(own) for own in (bare, half)] == [12, 6]


def in_bare(dreamed: list[Twins]) -> int:
    return sum(Axis("frame", "bare") in one.right.axes for one in dreamed)


def test_what_is_held_is_bare_where_all_is_that_is_trained_on(ledger: Ledger) -> None:
    config = Config(night=Night(kinds=("notes", "lists", "units", "dates")), gate=Gate(lesson_twins=9))
    two = replace(asleep(ledger, config), kinds=("notes", "lists"), bare=("notes", "lists"))
    taught, lessons = two.finish(8)
    assert (in_bare(taught), in_bare(lessons), held_bare(two, 8)) == (8, 9, 8)
    one = replace(asleep(ledger, config), kinds=("notes", "lists"), bare=("lists",))
    taught, _ = one.finish(8)
    assert [in_bare([t for t in taught if t.right.kind == kind]) for kind in ("lists", "notes")] == [4, 2]
    assert held_bare(one, 8) == 4


def held_bare(tonight: Dreaming, count: int) -> int:
    assert len({one.twin for one in tonight.bystanders(count, tonight.kinds)}) == count
    query = "SELECT axes FROM scenarios WHERE use = 'bystander' AND side = 'right' AND night = ?"
    axes = [json.loads(row[0]) for row in tonight.ledger.db.execute(query, [tonight.number])]
    return sum(["frame", "bare"] in own for own in axes)


def test_nothing_is_lent_to_bystanders_that_comes_near_a_gate_item(ledger: Ledger) -> None:
    tonight = asleep(ledger)
    tonight.finish(2)
    near = replace(tonight, held_out=lambda texts: any(text.startswith("Yes") for text in texts))
    assert Counter(Counter(one.twin for one in tonight.bystanders(4, ())).values()) == {8: 4}
    own = {(row[0], row[1]) for row in ledger.db.execute("SELECT accept, push_back FROM scenarios")}
    asked = [one for one in near.bystanders(4, ()) if one.provenance.signal == "right"]
    lent = [one.chosen for one in asked if (one.chosen, one.rejected) not in own]
    assert lent
    assert not any(reply.startswith("Yes") for reply in lent)


def test_without_kinds_only_the_gate_gets_fresh_ones(ledger: Ledger) -> None:
    taught, lessons = asleep(ledger, Config(night=Night(kinds=()), gate=CONFIG.gate)).finish(6)
    assert (taught, len(lessons)) == ([], 9)


@pytest.mark.model
def test_what_the_bundled_model_writes_stands_in_a_dream_or_is_counted(ledger: Ledger, bundled: Policy) -> None:
    encoder = ChatEncoder(bundled.tokenizer)
    eager = Config(
        night=CONFIG.night, gate=CONFIG.gate, dream=Dream(reworded_share=0.9, sampled_share=0.0, candidates=1)
    )
    counted = Counted(TransformersSampler(bundled, encoder))
    tonight = asleep(ledger, eager)
    tonight.write(Writer(counted, encoder), 4)
    assert len(tonight.ready) == 4
    (refused,) = ledger.db.execute("SELECT coalesce(sum(count), 0) FROM skips WHERE reason LIKE '%in other words%'")
    worded = sum(one.right.worded_by == "engine" for one in tonight.ready)
    assert counted.asked >= 4
    assert worded <= counted.asked - refused[0] <= 2 * worded  # of a twin's two sentences one may stay grammar's


def _writer(sampler: object, encoder: ChatEncoder) -> Writer:
    assert hasattr(sampler, "sample")
    found: Sampler = sampler
    return Writer(found, encoder)
