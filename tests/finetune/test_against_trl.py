"""The yardstick: on the same tiny model and rows, losses and gradients equal those of TRL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from dreamloop.finetune import losses
from dreamloop.finetune.rows import CHOSEN, REJECTED
from dreamloop.model.encode import Branch, ChatEncoder, Row
from dreamloop.model.load import load_policy
from dreamloop.model.policy import Policy
from dreamloop.model.score import completion_logprobs, packs_for, token_logprobs
from dreamloop.records import Message

ASK = [{"role": "user", "content": "What is the total of 12 and 34?"}]
CONTEXT = (Message("user", ASK[0]["content"]),)
CHOSEN_TEXT, REJECTED_TEXT = "It is 46, that is correct.", "No, please check the lazy dog again."
COMMON: dict[str, Any] = {"report_to": "none", "use_cpu": True, "bf16": False, "per_device_train_batch_size": 1,
          "gradient_checkpointing": False, "disable_tqdm": True, "save_strategy": "no"}  # fmt: skip


def theirs(trainer: Any) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of one batch as TRL computes them."""
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.model.train()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    return loss.item(), {n: p.grad for n, p in trainer.model.named_parameters() if p.grad is not None}


def ours(policy: Policy, loss: Tensor) -> dict[str, Tensor]:
    loss.backward()  # type: ignore[no-untyped-call] # torch
    return {n: p.grad for n, p in policy.model.named_parameters() if p.grad is not None}


def open_all_but_the_head(policy: Policy) -> None:
    """Train every weight of the trunk's layers; embeddings and head are tied and stay frozen."""
    for name, parameter in policy.model.named_parameters():
        parameter.requires_grad_("layers" in name)


def assert_same(mine: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert mine
    for name, gradient in mine.items():
        torch.testing.assert_close(gradient, other[name], atol=1e-5, rtol=1e-4)


def shift_from_reference(policy: Policy) -> None:
    """Move the policy away from its reference, so that DPO's loss is not at its trivial start."""
    torch.manual_seed(5)
    with torch.no_grad():
        for name, parameter in policy.model.named_parameters():
            if "layers" in name:
                parameter.add_(0.02 * torch.randn_like(parameter))


def test_sft_loss_and_gradients_equal_trls(tiny: Policy, tiny_folder: Path, tmp_path: Path) -> None:
    data = Dataset.from_list([{"prompt": ASK, "completion": [{"role": "assistant", "content": CHOSEN_TEXT}]}])
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(tiny_folder),
        args=SFTConfig(output_dir=str(tmp_path), completion_only_loss=True, **COMMON),
        train_dataset=data,
        processing_class=AutoTokenizer.from_pretrained(tiny_folder),
    )
    batch = next(iter(trainer.get_train_dataloader()))
    loss, gradients = theirs(trainer)

    row = ChatEncoder(tiny.tokenizer).completion(CONTEXT, CHOSEN_TEXT, 200)
    ids = batch["input_ids"][0].tolist()
    assert ids[: len(row)] == [*row.context, *row.branches[0].tokens]
    # TRL also learns the line break after the turn; its very tokens are given to both sides.
    scored = tuple(int(label) for label in batch["labels"][0] if label != -100)
    open_all_but_the_head(tiny)
    (packed,) = packs_for(tiny, [Row(row.context, (Branch(scored, (True,) * len(scored)),))], 512)
    mine = losses.sft(token_logprobs(tiny, packed))
    assert mine.item() == pytest.approx(loss, abs=1e-5)
    assert_same(ours(tiny, mine), gradients)


@pytest.mark.parametrize(("kind", "smoothing"), [("sigmoid", 0.0), ("ipo", 0.0), ("robust", 0.1)])
def test_dpo_losses_and_gradients_equal_trls(
    tiny: Policy, tiny_folder: Path, tmp_path: Path, kind: losses.LossType, smoothing: float
) -> None:
    row = ChatEncoder(tiny.tokenizer).branches(CONTEXT, (CHOSEN_TEXT, REJECTED_TEXT), 200)
    reference = load_policy(str(tiny_folder))
    shift_from_reference(tiny)
    moved = tmp_path / "moved"
    tiny.model.save_pretrained(moved)
    sides = {"chosen": CHOSEN_TEXT, "rejected": REJECTED_TEXT}
    data = Dataset.from_list([{"prompt": ASK, **{k: [{"role": "assistant", "content": v}] for k, v in sides.items()}}])
    trainer = DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(moved),
        ref_model=AutoModelForCausalLM.from_pretrained(tiny_folder),
        args=DPOConfig(output_dir=str(tmp_path), beta=0.1, loss_type=[kind], label_smoothing=smoothing, **COMMON),
        train_dataset=data,
        processing_class=AutoTokenizer.from_pretrained(tiny_folder),
    )
    batch = next(iter(trainer.get_train_dataloader()))
    loss, gradients = theirs(trainer)

    # TRL also scores the line break after the turn; its very tokens are given to both sides.
    same = with_tokens_of(row, batch["input_ids"], batch["completion_mask"])
    before = completion_logprobs(reference, [same])[0]
    open_all_but_the_head(tiny)
    (packed,) = packs_for(tiny, [same], 512)
    logprobs = token_logprobs(tiny, packed)
    chosen, rejected = (logprobs[s.start : s.end] for s in packed.spans)
    logit = losses.held_logit(kind, (chosen, rejected), (before[CHOSEN], before[REJECTED]), 0.0)
    mine = losses.preference(kind, logit, 0.1, smoothing)
    assert mine.item() == pytest.approx(loss, rel=1e-5)
    at_reference = losses.preference(kind, torch.tensor(0.0), 0.1, smoothing)
    assert abs(mine.item() - at_reference.item()) > 1e-5
    assert_same(ours(tiny, mine), gradients)


def with_tokens_of(row: Row, ids: Tensor, mask: Tensor) -> Row:
    """The row's context with the completions that TRL's collator scores: chosen, then rejected."""
    branches = []
    for side in (CHOSEN, REJECTED):
        tokens = tuple(int(token) for token, scored in zip(ids[side], mask[side], strict=True) if scored)
        assert tokens[: len(row.branches[side].tokens)] == row.branches[side].tokens
        branches.append(Branch(tokens, (True,) * len(tokens)))
    return Row(row.context, tuple(branches))
