"""Whole copies of the weights behind the same handle as adapters."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dreamloop.errors import ModelError
from dreamloop.model.copies import WholeWeights
from dreamloop.model.encode import Branch, Row
from dreamloop.model.load import load_policy
from dreamloop.model.score import completion_logprobs, packs_for, token_kl_to_base, token_logprobs

ROW = Row((3, 4, 5), (Branch((6, 7, 9), (True,) * 3),))


@pytest.fixture
def whole(tiny_folder: Path) -> WholeWeights:
    policy = load_policy(str(tiny_folder), kind=WholeWeights)
    assert isinstance(policy, WholeWeights)
    return policy


def shift(policy: WholeWeights, by: float) -> None:
    with torch.no_grad():
        for parameter in policy.trainable("candidate").values():
            parameter.add_(by)


def test_base_incumbent_and_candidate_answer_each_with_their_own_weights(whole: WholeWeights) -> None:
    base = completion_logprobs(whole, [ROW])[0][0]
    whole.add_adapter("candidate", None, 0)
    assert torch.equal(completion_logprobs(whole, [ROW])[0][0], base)
    shift(whole, 0.05)
    moved = completion_logprobs(whole, [ROW])[0][0]
    assert not torch.allclose(moved, base)
    with whole.using(None):
        assert torch.equal(completion_logprobs(whole, [ROW])[0][0], base)
    assert torch.equal(completion_logprobs(whole, [ROW])[0][0], moved)


def test_a_saved_copy_comes_back_the_same_and_loads_as_a_model_of_its_own(whole: WholeWeights, tmp_path: Path) -> None:
    whole.add_adapter("candidate", None, 0)
    shift(whole, 0.05)
    moved = completion_logprobs(whole, [ROW])[0][0]
    whole.use(None)
    whole.save("candidate", tmp_path)
    whole.load_adapter("incumbent", tmp_path)
    assert torch.equal(completion_logprobs(whole, [ROW])[0][0], moved)
    torch.testing.assert_close(completion_logprobs(load_policy(str(tmp_path)), [ROW])[0][0], moved)


def test_all_weights_learn_the_head_and_the_embeddings_too(whole: WholeWeights) -> None:
    whole.add_adapter("candidate", None, 0)
    (batch,) = packs_for(whole, [ROW], 64)
    parameters = whole.trainable("candidate")
    ours = torch.autograd.grad(token_logprobs(whole, batch).sum(), list(parameters.values()))
    logprobs = whole.model(input_ids=torch.tensor([[3, 4, 5, 6, 7, 9]])).logits[0].log_softmax(-1)[2:-1]
    plain = torch.autograd.grad(logprobs.gather(1, torch.tensor([[6], [7], [9]])).sum(), list(parameters.values()))
    for name, mine, theirs in zip(parameters, ours, plain, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-3, msg=name)


def test_the_anchor_pulls_towards_the_base_copy(whole: WholeWeights) -> None:
    whole.add_adapter("candidate", None, 0)
    (batch,) = packs_for(whole, [ROW], 64)
    assert token_kl_to_base(whole, batch).abs().max() < 1e-6
    shift(whole, 0.05)
    kl = token_kl_to_base(whole, batch)
    assert (kl > 0).all()
    kl.sum().backward()  # type: ignore[no-untyped-call] # torch
    assert whole.active == "candidate"


def test_how_far_it_moved_is_the_euclidean_distance(whole: WholeWeights) -> None:
    whole.add_adapter("candidate", None, 0)
    then = whole.snapshot("candidate")
    shift(whole, 0.5)
    count = sum(p.numel() for p in whole.trainable("candidate").values())
    assert whole.moved_since(then) == pytest.approx(0.5 * count**0.5, rel=1e-4)
    whole.use(None)
    size = sum(float(weight.square().sum()) for weight in whole.model.parameters()) ** 0.5
    assert whole.distance("candidate", None) == pytest.approx(0.5 * count**0.5 / size, rel=1e-4)
    whole.add_adapter("incumbent", None, 0)
    assert whole.distance("candidate", "incumbent") == pytest.approx(whole.distance("candidate", None))


def test_an_adapters_generation_is_refused_with_the_way_out(whole: WholeWeights, tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="revert --to 0"):
        whole.load_adapter("incumbent", tmp_path)
