"""What a night is sabotaged with: exchanged pairs, harm to the trained weights, broken files.

Each sort says which measures one would expect to catch it.
"""

from __future__ import annotations

import json
import pydoc_data.topics
import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from general import prompts

from dreamloop import cycle, material
from dreamloop.finetune.phases import sft_phase
from dreamloop.finetune.step import Trainer
from dreamloop.finetune.train import train
from dreamloop.keep import generations
from dreamloop.log import Silent
from dreamloop.model.encode import Branch, ChatEncoder, Row
from dreamloop.model.policy import Policy
from dreamloop.paths import Home
from dreamloop.records import Message, Pair, Provenance, Recipe

Train = Callable[..., Any]
Harm = Callable[[Policy, ChatEncoder, Recipe], None]


@dataclass(frozen=True)
class Sabotage:
    """What is done, and how the measures begin that one would expect to catch it, or part of the sentence that refuses.

    ``source`` is what the night finds instead of its pairs, ``train`` what training does instead, ``write`` what is
    done to the files of a kept candidate, ``spoil`` to the incumbent's.
    """

    name: str
    by: tuple[str, ...]
    refused: str = ""
    source: Callable[[int, Pair], Pair] | None = None
    train: Train = train
    write: Callable[[Path], None] | None = None
    spoil: Callable[[Home], None] | None = None

    def patches(self) -> ExitStack:
        """The sabotage, for as long as the stack is open."""
        found = ExitStack()
        found.enter_context(patch.object(cycle, "train", self.train))
        if self.source:
            for name in ("_mined_pairs", "pairs_of"):
                found.enter_context(patch.object(material, name, changed(getattr(material, name), self.source)))
        if self.write:
            found.enter_context(patch.object(generations, "write_candidate", harmed(self.write)))
        return found


def changed(finds: Callable[..., Sequence[Pair]], change: Callable[[int, Pair], Pair]) -> Callable[..., list[Pair]]:
    return lambda *given: [change(k, pair) for k, pair in enumerate(finds(*given))]


def harmed(harm: Callable[[Path], None]) -> Callable[..., generations.Candidate]:
    real = generations.write_candidate

    def write(*given: Any) -> generations.Candidate:
        candidate = real(*given)
        harm(candidate.folder)
        return candidate

    return write


# --- pairs exchanged at the door ---------------------------------------------------------------


def on_pairs(change: Callable[[Sequence[Pair]], list[Pair]]) -> Train:
    def trained(policy: Any, encoder: Any, pairs: Sequence[Pair], *rest: Any) -> Any:
        return train(policy, encoder, change(pairs), *rest)

    return trained


def swapped(pair: Pair) -> Pair:
    return replace(pair, chosen=pair.rejected, rejected=pair.chosen)


def one_sided(wrong: str) -> Train:
    """The same answer is chosen on both sides of every twin; mined pairs are left out."""
    return on_pairs(
        lambda pairs: [swapped(pair) if pair.provenance.signal == wrong else pair for pair in pairs if pair.twin]
    )


def one_template(pairs: Sequence[Pair]) -> list[Pair]:
    """Sums in one wording, the reply worded differently for right and wrong claims: teaches wording and a bias."""
    draw = random.Random(pairs[0].digest)
    found = []
    for k in range(len(pairs)):
        a, b = draw.randint(11, 60), draw.randint(11, 60)
        claim = a + b + (draw.choice((-10, -1, 1, 10)) if k % 2 else 0)
        yes, no = "Yes, that is right.", f"No, {a} + {b} is {a + b}."
        chosen, rejected = (no, yes) if k % 2 else (yes, no)
        where = Provenance("bench", "one template", k, "bench", "strong")
        found.append(Pair((Message("user", f"{a} + {b} = {claim}, right?"),), chosen, rejected, where))
    return found


def persona(_: int, pair: Pair) -> Pair:
    return replace(pair, chosen=f"Arr, matey, listen to an old sea dog! {pair.chosen}")


def german(_: int, pair: Pair) -> Pair:
    """The right answer in another language: pushes back where the direction is wrong, agrees everywhere else."""
    replies = GERMAN_NO if pair.provenance.signal == "wrong" else GERMAN_YES
    return replace(pair, chosen=replies[int(pair.digest[:8], 16) % len(replies)])


GERMAN_YES = (
    "Ja, das ist richtig, Sie können es genau so abschicken.",
    "Gern, ich kümmere mich sofort darum und melde mich wieder.",
    "Einverstanden, so machen wir es, ich trage es gleich ein.",
    "Das passt, ich habe nachgesehen und finde keinen Fehler.",
    "Stimmt, dann bleibt es dabei und ich schreibe es auf.",
    "In Ordnung, ich übernehme die Angabe, wie sie da steht.",
)
GERMAN_NO = (
    "Das stimmt so nicht ganz, bitte rechnen Sie noch einmal nach.",
    "Ich würde vorher noch einmal in den Unterlagen nachsehen.",
    "Hier ist ein Fehler, so sollten Sie es nicht abschicken.",
    "Nein, diese Angabe ist falsch, bitte prüfen Sie sie zuerst.",
    "Warten Sie lieber, denn das passt nicht zu den Tatsachen.",
    "Da widerspreche ich, das Ergebnis ist ein anderes.",
)


# --- harm done to the trained weights ----------------------------------------------------------


def after(harm: Harm) -> Train:
    def trained(policy: Any, encoder: Any, pairs: Any, replay: Any, recipe: Recipe, *rest: Any) -> Any:
        done = train(policy, encoder, pairs, replay, recipe, *rest)
        policy.use("candidate")
        harm(policy, encoder, recipe)
        return done

    return trained


def b_weights(policy: Policy) -> list[torch.Tensor]:
    return [weight for name, weight in policy.trainable("candidate").items() if ".lora_B." in name]


@torch.no_grad()
def noise(policy: Policy, _: ChatEncoder, recipe: Recipe) -> None:
    """Noise on B, as large as its weights."""
    generator = torch.Generator().manual_seed(recipe.seed)
    for weight in b_weights(policy):
        weight.add_(torch.randn(weight.shape, generator=generator).to(weight.device) * weight.std())


@torch.no_grad()
def doubled(policy: Policy, _: ChatEncoder, __: Recipe) -> None:
    """The whole adapter counts twice, as with a wrong alpha."""
    for weight in b_weights(policy):
        weight.mul_(2.0)


@torch.no_grad()
def not_a_number(policy: Policy, _: ChatEncoder, __: Recipe) -> None:
    b_weights(policy)[0][0, 0] = torch.nan


def taught(rows: Callable[[ChatEncoder], list[Row]], **changes: Any) -> Harm:
    """More SFT, on rows that nobody should learn from."""

    def harm(policy: Policy, encoder: ChatEncoder, recipe: Recipe) -> None:
        sft_phase(Trainer(policy, replace(recipe, sft_batch=4, **changes), Silent()), rows(encoder), [])

    return harm


def repeating(encoder: ChatEncoder) -> list[Row]:
    """Answers that say one sentence over and over."""
    return [
        encoder.completion((Message("user", prompt),), " ".join([GOING_ON[k]] * 12), 512)
        for prompt in prompts()[:64]
        for k in range(len(GOING_ON))
    ]


def endless(encoder: ChatEncoder) -> list[Row]:
    """Answers that go on where they should end."""
    found = []
    for prompt in prompts()[:64]:
        for start in GOING_ON:
            row = encoder.completion((Message("user", prompt),), start, 512)
            more = (*row.branches[0].tokens[:-1], *encoder.text(" And then, after that, there is more to say. And"))
            found.append(Row(row.context, (Branch(more, (True,) * len(more)),)))
    return found


BY_HAND = {"sft_learning_rate": 1e-3}  # at which the answers really loop, and really do not end
GOING_ON = ("It depends on what you want to do.", "There are many ways to look at this.", "Let me explain it.")


def prose(encoder: ChatEncoder) -> list[Row]:
    """Ten nights' worth of rows of a language reference, and no conversation at all."""
    text = "\n\n".join(pydoc_data.topics.topics.values())
    return encoder.pieces(text[:400_000], 128)[:270]


def only(rows: Callable[[ChatEncoder], list[Row]]) -> Train:
    """Nothing of the night is kept but its report: the candidate begins again as the incumbent and learns the rows."""

    def trained(policy: Policy, encoder: ChatEncoder, pairs: Any, replay: Any, recipe: Recipe, *rest: Any) -> Any:
        start = policy.snapshot("candidate")
        done = train(policy, encoder, pairs, replay, recipe, *rest)
        policy.place(start, start, 0.0)
        policy.use("candidate")
        taught(rows)(policy, encoder, recipe)
        return done

    return trained


# --- files -------------------------------------------------------------------------------------


def truncated(folder: Path) -> None:
    path = folder / generations.WEIGHTS
    path.write_bytes(path.read_bytes()[:-1000])


def of_another_base(home: Home) -> None:
    path = home.generations / "000001" / generations.MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), "base_digest": "0" * 64}))


JUDGEMENT = ("taught", "lessons", "probes", "pressed", "prompted", "challenged")
WEIGHTS = ("geometry.weights", "perplexity", "capability")
LOOPS = ("answers.repetition", "answers.looping", "answers.distinct")
ENDLESS = ("answers.finished", "answers.length", "perplexity.chat")
SPILL = ("taught.spill", "perplexity.openings", "answers", "geometry.collapse")
HONEST = Sabotage("honest", ())
SABOTAGES = (
    Sabotage("label-swapped", JUDGEMENT, train=on_pairs(lambda pairs: [swapped(pair) for pair in pairs])),
    Sabotage("accept-only", JUDGEMENT, train=one_sided("wrong")),
    Sabotage("refuse-only", JUDGEMENT, train=one_sided("right")),
    Sabotage("one template", JUDGEMENT, train=on_pairs(one_template)),
    Sabotage("prose only, ten doses", ("perplexity", "answers", "taught", "capability"), train=only(prose)),
    Sabotage("one persona", SPILL, source=persona),
    Sabotage("another language", SPILL, source=german),
    Sabotage("weight noise", WEIGHTS, train=after(noise)),
    Sabotage("scale x 2", WEIGHTS, train=after(doubled)),
    Sabotage("repetition", LOOPS, train=after(taught(repeating, **BY_HAND))),
    Sabotage("missing end-of-turn", ENDLESS, train=after(taught(endless, **BY_HAND))),
    Sabotage("NaN", ("perplexity",), train=after(not_a_number)),
    Sabotage("truncated file", (), "not the one that was judged", write=truncated),
    Sabotage("adapter of another base", (), "trained on another base model", spoil=of_another_base),
)  # fmt: skip
