"""The scoring primitive against the plain way: the model's own forward pass and autograd through it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import LoraConfig
from torch import Tensor

from dreamloop.errors import ModelError
from dreamloop.log import Silent
from dreamloop.model import score
from dreamloop.model.attention import Segment
from dreamloop.model.bundled import ensure_bundled
from dreamloop.model.encode import Branch, ChatEncoder, Row
from dreamloop.model.load import load_policy
from dreamloop.model.pack import Pack
from dreamloop.model.policy import Policy
from dreamloop.model.score import (
    check_exactness,
    completion_logprobs,
    packs_for,
    token_kl_to_base,
    token_logprobs,
)

LORA = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False)

tokens = st.lists(st.integers(2, 300), min_size=1, max_size=12).map(tuple)
rows = st.builds(
    lambda context, branches: Row(context, tuple(Branch(b, (True,) * len(b)) for b in branches)),
    tokens,
    st.lists(tokens, min_size=1, max_size=3),
)


def plain(policy: Policy, context: tuple[int, ...], completion: tuple[int, ...]) -> Tensor:
    """Log-probs through the whole model, one completion at a time, differentiable."""
    ids = torch.tensor([[*context, *completion]])
    logprobs = policy.model(input_ids=ids).logits[0].float().log_softmax(-1)[len(context) - 1 : -1]
    result: Tensor = logprobs.gather(1, ids[0, len(context) :, None]).squeeze(1)
    return result


@given(st.lists(rows, min_size=1, max_size=8), st.integers(16, 80))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
def test_packed_scores_equal_scores_one_at_a_time(tiny: Policy, some: list[Row], budget: int) -> None:
    scores = completion_logprobs(tiny, some, budget)
    for row, branches in zip(some, scores, strict=True):
        for branch, found in zip(row.branches, branches, strict=True):
            torch.testing.assert_close(found, plain(tiny, row.context, branch.tokens).detach(), atol=1e-5, rtol=0)


def test_a_model_that_cannot_be_packed_is_scored_alone_with_the_same_numbers(tiny: Policy) -> None:
    row = Row((3, 4, 5), (Branch((6, 7), (True, True)), Branch((8,), (True,))))
    packed = completion_logprobs(tiny, [row, row])
    tiny.packable = False
    assert len(packs_for(tiny, [row, row], 512)) == 4
    torch.testing.assert_close(completion_logprobs(tiny, [row, row]), packed, atol=1e-6, rtol=0)


def test_the_saved_slope_gives_the_gradient_of_plain_autograd(tiny: Policy) -> None:
    tiny.add_adapter("candidate", LORA, seed=0)
    some = [
        Row((3, 4, 5), (Branch((6, 7, 9), (True,) * 3), Branch((8, 2), (True,) * 2))),
        Row((9, 9), (Branch((4,), (True,)),)),
    ]
    weights = torch.tensor([0.3, -1.0, 2.0, 0.5, 0.7, -0.2])

    def gradients(total: Tensor) -> dict[str, Tensor]:
        parameters = tiny.trainable("candidate")
        return dict(zip(parameters, torch.autograd.grad(total, list(parameters.values())), strict=True))

    (batch,) = packs_for(tiny, some, 64)
    ours = gradients((token_logprobs(tiny, batch) * weights).sum())
    pieces = [plain(tiny, row.context, branch.tokens) for row in some for branch in row.branches]
    theirs = gradients((torch.cat(pieces) * weights).sum())
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, atol=1e-6, rtol=1e-4)


def test_the_kl_anchor_and_its_gradient_equal_the_plain_formula(tiny: Policy) -> None:
    tiny.add_adapter("candidate", LORA, seed=0)
    row = Row((3, 4, 5), (Branch((6, 7, 9), (True,) * 3),))
    (batch,) = packs_for(tiny, [row], 64)
    ids = torch.tensor([[3, 4, 5, 6, 7]])

    def logprobs() -> Tensor:
        result: Tensor = tiny.model(input_ids=ids).logits[0, 2:].log_softmax(-1)
        return result

    with torch.no_grad(), tiny.using(None):
        base = logprobs()
    plain_kl = (base.exp() * (base - logprobs())).sum(-1)
    ours = token_kl_to_base(tiny, batch)
    torch.testing.assert_close(ours, plain_kl, atol=1e-6, rtol=1e-4)
    parameters = list(tiny.trainable("candidate").values())
    for mine, theirs in zip(
        torch.autograd.grad(ours.sum(), parameters), torch.autograd.grad(plain_kl.sum(), parameters), strict=True
    ):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-3)


def test_the_base_answers_as_before_while_an_adapter_is_loaded(tiny: Policy) -> None:
    row = Row((3, 4, 5), (Branch((6, 7), (True, True)),))
    before = completion_logprobs(tiny, [row])
    tiny.add_adapter("candidate", LORA, seed=0)
    changed = completion_logprobs(tiny, [row])
    with tiny.using(None):
        base = completion_logprobs(tiny, [row])
    torch.testing.assert_close(base, before)
    assert not torch.allclose(changed[0][0], before[0][0])


def test_dropout_never_blurs_a_score(tiny: Policy) -> None:
    row = Row((3, 4, 5), (Branch((6, 7), (True, True)),))
    wet = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False, lora_dropout=0.5)
    tiny.add_adapter("incumbent", wet, seed=0)
    tiny.add_adapter("candidate", wet, seed=1)
    for name in ("incumbent", "candidate"):
        tiny.use(name)
        assert completion_logprobs(tiny, [row])[0][0].tolist() == completion_logprobs(tiny, [row])[0][0].tolist()


def test_a_model_whose_head_is_not_all_of_its_logits_is_refused(tiny: Policy, tiny_encoder: ChatEncoder) -> None:
    real = tiny.model.forward

    def capped(*args: object, **kwargs: object) -> object:
        output = real(*args, **kwargs)
        output.logits = torch.tanh(output.logits)
        return output

    tiny.model.forward = capped
    with pytest.raises(ModelError, match="not supported"):
        check_exactness(tiny, tiny_encoder, 1e-4)


@pytest.mark.model
def test_packed_scores_are_exact_on_the_real_model(bundled: Policy) -> None:
    for frozen in (False, True):
        assert check_exactness(bundled, ChatEncoder(bundled.tokenizer), 1e-4, frozen) < 1e-4


def leaking(batch: Pack) -> Pack:
    """Rows that see the rows before them."""
    one = (Segment((0, len(batch.strip.tokens))),)
    return replace(batch, strip=replace(batch.strip, segments=one))


def unplaced(batch: Pack) -> Pack:
    """Positions that go on from one row into the next."""
    return replace(batch, strip=replace(batch.strip, positions=torch.arange(len(batch.strip.positions))))


@pytest.mark.model
def test_in_bfloat16_rounding_is_told_from_a_broken_pack(bundled_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = load_policy(str(ensure_bundled(bundled_models, Silent())), dtype="bfloat16")
    encoder = ChatEncoder(policy.tokenizer)
    # It raises nothing. On a CPU with AMX the model's own scores differ by so much that 0.046 is within their noise.
    assert check_exactness(policy, encoder, 0.02) < 0.1
    real = score.packs_for
    for harm in (leaking, unplaced):
        monkeypatch.setattr(score, "packs_for", lambda *given, harm=harm: [harm(batch) for batch in real(*given)])
        with pytest.raises(ModelError, match="not supported"):
            check_exactness(policy, encoder, 0.02)


def test_a_frozen_context_changes_no_score(tiny: Policy) -> None:
    row = Row((3, 4, 5, 6), (Branch((6, 7), (True, True)), Branch((8,), (True,))))
    full, frozen = (completion_logprobs(tiny, [row, row], frozen_contexts=f) for f in (False, True))
    for ours, theirs in zip(frozen, full, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("context", "exact"), [((3,), True), ((3, 4, 5), False)])
def test_a_frozen_context_gives_the_whole_gradient_only_where_it_is_empty(
    tiny: Policy, context: tuple[int, ...], exact: bool
) -> None:
    # A context of one token is an empty one: that token predicts the reply and keeps its gradient.
    tiny.add_adapter("candidate", LORA, seed=0)
    row = Row(context, (Branch((6, 7, 9), (True,) * 3), Branch((8, 2), (True,) * 2)))
    parameters = list(tiny.trainable("candidate").values())
    found = []
    for frozen in (False, True):
        (batch,) = packs_for(tiny, [row], 64, frozen_contexts=frozen)
        found.append(torch.autograd.grad(token_logprobs(tiny, batch).sum(), parameters))
    off = [float((a - b).abs().max()) for a, b in zip(*found, strict=True)]
    assert (max(off) < 1e-5) == exact
