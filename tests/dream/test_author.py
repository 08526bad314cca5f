from __future__ import annotations

from collections import Counter
from dataclasses import replace

from scripted import Scripted
from shelves import sketches

from dreamloop.config import Dream
from dreamloop.dream.author import EngineAuthor, load_prompts
from dreamloop.log import Silent
from dreamloop.model.sampler import Request
from dreamloop.paths import prompts_folder
from dreamloop.records import Axis

PROMPTS = load_prompts(prompts_folder())
EAGER = Dream(reworded_share=0.9, sampled_share=0.9, candidates=2)


def author(engine: Scripted, knobs: Dream = EAGER) -> EngineAuthor:
    return EngineAuthor(engine, "incumbent", PROMPTS, knobs, Silent())


def nothing(_: Request) -> str:
    return ""


def test_a_round_asks_everything_of_one_sort_in_one_batch() -> None:
    engine = Scripted(nothing)
    author(engine)(sketches("sums", 20), 3, Counter())
    words, replies = engine.batches
    assert len(words) % 4 == 0  # situation and direction, two candidates each
    assert len(replies) % 8 == 0  # guided and plain, on both sides, two candidates each
    assert 14 * 4 <= len(words) <= 20 * 4
    assert 6 * 8 <= len(replies) <= 12 * 8  # of half of them: those whose unwanted reply pushes back


def test_the_same_seed_asks_the_same_and_another_asks_of_others() -> None:
    engines = [Scripted(nothing) for _ in range(3)]
    drawn = sketches("dates", 30)
    for engine, seed in zip(engines, (1, 1, 2), strict=True):
        author(engine, Dream(reworded_share=0.5, sampled_share=0.5))(drawn, seed, Counter())
    first, again, other = (engine.batches for engine in engines)
    assert first == again != other


def test_what_is_unsound_leaves_grammars_words_and_is_counted_by_kind() -> None:
    discards = Counter[str]()
    drawn = sketches("units", 10)
    assert author(Scripted(nothing))(drawn, 0, discards) == drawn
    assert discards.total() > 0
    assert all(reason.startswith("units: ") for reason in discards)


def test_an_engine_that_writes_well_is_listened_to() -> None:
    def well(request: Request) -> str:
        asked, told = request.context[-1].content, request.context[0].content
        if request.context[0].role == "system" and "is wrong, because" in told:
            return "No, that is not right, please look at it again."
        if "Say this in other words." in asked:
            return asked.rpartition("  ")[2].replace("I will", "I shall") + " "
        return "Yes, that is right, so I have noted it."

    found = [one for one in author(Scripted(well))(sketches("sums", 30), 0, Counter()) if one]
    replied = [one for one in found if one.replies_by == "engine"]
    assert len(replied) >= 12
    assert {one.push_back for one in replied} == {"No, that is not right, please look at it again."}


def test_an_opinion_needs_a_judge_that_agrees_with_itself() -> None:
    def partial(request: Request) -> str:
        return "A" if "Which of the two" in request.context[-1].content else ""

    discards = Counter[str]()
    assert author(Scripted(partial))(sketches("opinions", 3), 0, discards) == [None] * 3
    assert discards["opinions: the judge disagrees with itself"] == 3

    def loves_cabins(request: Request) -> str:
        text = request.context[-1].content
        plans = text.partition("A: ")[2].partition("B: ")
        return "A" if plans[0] < plans[2] else "B"

    drawn = sketches("opinions", 3)
    judged = author(Scripted(loves_cabins), Dream(reworded_share=0, sampled_share=0))(drawn, 0, Counter())
    assert [one.seed.right for one in judged if one] == [min(one.seed.right, one.seed.wrong) for one in drawn]


def test_other_languages_than_english_keep_the_books_words() -> None:
    engine = Scripted(nothing)
    axes = (Axis("language", "de"),)
    author(engine)([replace(one, axes=axes) for one in sketches("facts", 5)], 0, Counter())
    assert engine.batches == []
