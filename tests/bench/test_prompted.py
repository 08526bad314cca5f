"""A system prompt stands before whatever is asked, and is chosen by how it is answered."""

from __future__ import annotations

from prompted import PROMPTS, best, judged
from under import choices_under, probes_under, texts_under, under

from dreamloop.gate.suite import Choice, Document, Probe
from dreamloop.records import Message, Side

ASKED, SYSTEM = Message("user", "2 + 2 = 4?"), Message("system", "Be short.")
SIDES: tuple[Side, ...] = ("right", "wrong")


def probe(kind: str, side: Side, number: int = 0) -> Probe:
    item = f"{kind}/{number}/{side}"
    return Probe(item, kind, f"{kind}/{number}", f"{kind}/{number}", side, (ASKED,), (("Yes.", "No."),))


def test_it_goes_in_front_of_a_system_prompt_that_is_there() -> None:
    assert under("Check.", (ASKED,)) == (Message("system", "Check."), ASKED)
    assert under("Check.", (SYSTEM, ASKED)) == (Message("system", "Check. Be short."), ASKED)
    assert under("", (SYSTEM, ASKED)) == (SYSTEM, ASKED)


def test_it_stands_before_conversations_and_not_before_what_is_only_read() -> None:
    talk = Document("chat/0", "chat", turns=(ASKED, Message("assistant", "Yes.")))
    text = Document("prose/0", "prose", "A text.")
    told, read = texts_under("Check.", (talk, text))
    assert told.turns[0] == Message("system", "Check.")
    assert read == text
    (choice,) = choices_under("Check.", (Choice("c", "c", "code", (ASKED,), "a", "b"),))
    assert choice.context[0] == probes_under("Check.", (probe("sums", "right"),))[0].context[0] == told.turns[0]


def test_it_is_judged_by_auc_and_rates_with_all_kinds_alike() -> None:
    probes = [probe("sums", side, k) for k in range(3) for side in SIDES]
    probes += [probe("notes", side) for side in SIDES]
    scores = {one.item: (1.0 if one.side == "wrong" else -1.0) if one.kind == "sums" else 0.5 for one in probes}
    assert judged(probes, scores) == {"auc": 0.75, "push_back": 1.0, "accept": 0.5}


def test_the_best_one_is_one_of_those_that_were_tried() -> None:
    assert best() in PROMPTS.values()
