from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from shelves import KINDS, PROVABLE, SHELF, dreamer

from dreamloop.config import Dream
from dreamloop.dream.axes import Coverage
from dreamloop.dream.novelty import Novelty
from dreamloop.dream.scenarios import pairs_of, repeats_refused
from dreamloop.dream.sketch import Sketch
from dreamloop.errors import EngineError
from dreamloop.gate.leaks import GateTexts
from dreamloop.gate.reading import load_suite
from dreamloop.records import Axis, Dreamed, Skip, Tally, Twins, flatten


def tallies(dreamed: Sequence[Twins]) -> list[Tally]:
    counts = Counter((axis.name, axis.value) for twins in dreamed for axis in twins.right.axes)
    return [Tally(axis, value, count) for (axis, value), count in counts.items()]


def test_thirty_nights_repeat_nothing_and_even_out_kinds_domains_and_manners() -> None:
    novelty = Novelty()
    everything: list[Twins] = []
    for night in range(30):
        dreamed = dreamer(novelty, Coverage(tallies(everything))).dream(10, night)
        assert len(dreamed.twins) == 10
        kinds = Counter(twins.right.kind for twins in dreamed.twins)
        assert len(kinds) >= 8
        assert max(kinds.values()) <= 2
        everything += dreamed.twins
    texts = Counter(flatten(s.context) for twins in everything for s in (twins.right, twins.wrong))
    assert max(texts.values()) == 1
    counts = {(t.axis, t.value): t.count for t in tallies(everything)}
    assert {value for axis, value in counts if axis == "kind"} == set(KINDS)
    for axis in ("turns", "length"):
        used = [count for (name, _), count in counts.items() if name == axis]
        assert max(used) - min(used) <= 20
    topics = [counts["topic", topic] for topic in SHELF.topics]
    assert max(topics) - min(topics) <= 8
    dressed = counts["frame", "dressed"]
    assert dressed == pytest.approx(150, abs=2)
    shares = [counts["manner", manner] / dressed for manner in ("push back", "alternative", "corrected")]
    assert shares == [pytest.approx(share, abs=0.05) for share in (0.5, 0.3, 0.2)]


def test_the_same_seed_and_past_give_the_same_dreams() -> None:
    first = dreamer().dream(8, 5)
    assert dreamer().dream(8, 5) == first
    past = Novelty()
    for twins in first.twins:
        past.add(twins.text(), twins.right.digest, twins.wrong.digest)
    again = dreamer(past).dream(8, 5)
    assert not {t.right.digest for t in first.twins} & {t.right.digest for t in again.twins}
    assert repeats_refused(again) > 0


def test_the_same_about_another_frame_is_a_repeat() -> None:
    first = dreamer().dream(8, 5)
    past = Novelty()
    for twins in first.twins:
        past.add("nothing like it", twins.right.twin)  # its frame may have been any other
    again = dreamer(past).dream(8, 5)
    assert len(again.twins) == 8
    assert not {t.right.twin for t in first.twins} & {t.right.twin for t in again.twins}


def test_the_two_pairs_of_twins_offer_the_same_replies_with_the_sides_exchanged() -> None:
    for twins in dreamer(knobs=Dream(corrected_share=0)).dream(30, 1).twins:
        right, wrong = pairs_of(twins)
        assert (right.chosen, right.rejected) == (wrong.rejected, wrong.chosen)
        assert right.twin == wrong.twin
        assert right.chosen == twins.right.accept


def test_corrected_replies_have_one_frame_and_the_chosen_one_names_what_is_true() -> None:
    for twins in dreamer(knobs=Dream(corrected_share=0.9, alternative_share=0.1)).dream(40, 1).twins:
        for pair in pairs_of(twins):
            claims = (twins.right.claim, twins.wrong.claim)
            if any(claim in pair.chosen for claim in claims) and twins.right.kind in {"sums", "clock", "units"}:
                assert pair.chosen.find(claims[0]) != -1


@pytest.mark.slow
def test_an_old_sentence_with_new_numbers_is_refused_once_it_had_its_share() -> None:
    book = SHELF.books["sums"]
    few = {**book.phrases.sections, "situation": ("Bruno paid {a} for the {thing_a}[| and] {b} for the {thing_b}.",)}
    few["direction: tell"] = ("I say {claim}.", "I tell {name} {claim}.")
    narrow = {k: v for k, v in few.items() if not k.startswith("direction: ") or k == "direction: tell"}
    sums = replace(book, phrases=replace(book.phrases, sections=narrow))
    asleep = dreamer(knobs=Dream(template_share=0.3))
    asleep.shelves = (replace(PROVABLE, books={"sums": sums}),)
    dreamed = asleep.dream(40, 0)
    sentences = Counter(a.value for twins in dreamed.twins for a in twins.right.axes if a.name == "sentence")
    assert len(sentences) == 4  # and each may be a half, because there are only four
    wide = dreamer(knobs=Dream(template_share=0.02))
    everything: list[Twins] = []
    for night in range(12):
        everything += wide.dream(60, night).twins
    kinds = Counter(twins.right.kind for twins in everything)
    assert sum(kinds.values()) == 720  # a share never starves a kind
    spoken = Counter(a.value for twins in everything for a in twins.right.axes if a.name == "sentence")
    assert all(count <= max(2, 0.02 * kinds[name.partition("/")[0]]) for name, count in spoken.items())


def test_no_dream_comes_near_a_gate_item() -> None:
    held_out = GateTexts(load_suite().texts())
    novelty = Novelty()
    twins = [t for night in range(20) for t in dreamer(novelty, held_out=held_out).dream(14, night).twins]
    texts = [m.content for t in twins for s in (t.right, t.wrong) for m in s.context if m.role == "user"]
    assert len(twins) >= 270
    assert not [text for text in texts if held_out([text])]


def test_what_resembles_a_held_out_item_is_discarded_and_counted() -> None:
    (twins,) = dreamer().dream(1, 3).twins
    held_out = GateTexts([m.content for m in twins.right.context if m.role == "user"])
    again = dreamer(held_out=held_out).dream(1, 3)
    assert any("gate item" in skip.reason for skip in again.skips)


@pytest.mark.slow
def test_two_hundred_nights_with_their_lessons_repeat_no_scenario_and_none_is_short_of_twins() -> None:
    novelty, coverage = Novelty(), Coverage()
    digests: Counter[str] = Counter()
    for night in range(200):
        for count, seed in ((10, night), (36, 10_000 + night)):
            for twins in dreamer(novelty, coverage).dream(count, seed).twins:
                digests.update([twins.right.digest, twins.wrong.digest])
    assert max(digests.values()) == 1
    assert digests.total() == 200 * 46 * 2


def test_where_novelty_runs_out_the_night_is_smaller_and_says_so() -> None:
    dreamed = dreamer(held_out=lambda _: True).dream(3, 0)
    assert dreamed.twins == ()
    assert sum(skip.count for skip in dreamed.skips if "gave up" in skip.reason) == 3


def test_each_round_is_kept_before_the_next_begins_so_a_dying_engine_loses_nothing() -> None:
    kept: list[Dreamed] = []

    class Dying:
        rounds = 0

        def __call__(self, sketches: Sequence[Sketch], seed: int, discards: Counter[str]) -> list[Sketch | None]:
            self.rounds += 1
            if self.rounds == 2:
                raise EngineError("gone")
            return [drawn if k % 2 else None for k, drawn in enumerate(sketches)]

    asleep = dreamer(author=Dying())
    asleep.keep = kept.append
    with pytest.raises(EngineError):
        asleep.dream(10, 0)
    assert [len(part.twins) for part in kept] == [5]
    assert all(asleep.novelty.knows(twins.text()) for twins in kept[0].twins)


def test_without_an_engine_nobody_can_judge_an_opinion_so_another_kind_takes_its_place() -> None:
    asleep = dreamer()
    asleep.shelves = (replace(PROVABLE, books={"opinions": SHELF.books["opinions"]}),)
    dreamed = asleep.dream(1, 0)
    assert dreamed.twins == ()
    assert Skip("dream", "opinions: nobody there to judge", 24) in dreamed.skips
    asleep.shelves = (SHELF,)
    kinds = [twins.right.kind for twins in asleep.dream(12, 0).twins]
    assert len(kinds) == 12
    assert "opinions" not in kinds


def test_half_of_the_scenarios_have_nothing_around_what_they_are_about() -> None:
    dreamed = dreamer().dream(40, 2).twins
    bare = [twins for twins in dreamed if Axis("frame", "bare") in twins.right.axes]
    assert len(bare) == 20
    assert all([message.role for message in twins.right.context] == ["user"] for twins in bare)
    assert not {axis.name for twins in bare for axis in twins.right.axes} & {"persona", "tone", "turns", "manner"}


def test_in_half_of_the_dialogues_the_user_contradicts_what_the_assistant_said_and_is_right_on_one_side_only() -> None:
    dressed = [twins for twins in dreamer().dream(80, 2).twins if Axis("frame", "dressed") in twins.right.axes]
    dialogues = [twins for twins in dressed if Axis("turns", "1") not in twins.right.axes]
    contradicted = [twins for twins in dialogues if Axis("answer", "contradicted") in twins.right.axes]
    assert (len(dialogues), len(contradicted)) == (30, 15)
    for twins in contradicted:
        for one, other in ((twins.right, twins.wrong), (twins.wrong, twins.right)):
            talk = [message for message in one.context if message.role != "system"]
            (at,) = [k for k, said in enumerate(talk) if said.role == "assistant" and other.claim in said.content]
            assert one.claim in talk[at + 1].content
    assert not {axis.name for twins in dressed if twins not in dialogues for axis in twins.right.axes} & {"answer"}
