"""The loop that one would write first: TRL's trainers on each night's pairs, one adapter stacked on, nothing watched.

No replay, no anchor, no gate. Learning rates, their schedule, batches and the adapter's shape are dreamloop's, the
pairs are those that dreamloop trained on in the same night, kept or not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from dreamloop.config import Config
from dreamloop.finetune.recipe import batch_size
from dreamloop.model.wake import new_adapter
from dreamloop.records import Context, Pair, Recipe


def naive_night(base: str, before: Path | None, after: Path, pairs: Sequence[Pair], recipe: Recipe) -> None:
    """SFT on what was mined and DPO on everything, for one pass; the adapter goes from one folder to the next.

    Args:
        base: the model's folder. before: yesterday's adapter, None on the first night. after: where tonight's goes.
        pairs: twins among them or not; nothing keeps them together. recipe: dreamloop's of that night.
    """
    from peft import PeftModel, get_peft_model  # noqa: PLC0415 - seconds of import that a report does without
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415 - as above

    tokenizer = AutoTokenizer.from_pretrained(base)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype="float32")
    torch.manual_seed(recipe.seed)  # of the first adapter's A
    model: Any = (
        PeftModel.from_pretrained(plain, str(before), is_trainable=True)
        if before
        else get_peft_model(plain, new_adapter(Config()))
    )
    mined = [pair for pair in pairs if pair.twin is None]
    if mined:
        model = _sft(model, tokenizer, mined, recipe, after)
    model = _dpo(model, tokenizer, pairs, recipe, after)
    model.save_pretrained(str(after))


def _sft(model: Any, tokenizer: Any, pairs: Sequence[Pair], recipe: Recipe, place: Path) -> Any:
    from datasets import Dataset  # noqa: PLC0415 - as above
    from trl.trainer.sft_config import SFTConfig  # noqa: PLC0415 - as above
    from trl.trainer.sft_trainer import SFTTrainer  # noqa: PLC0415 - as above

    data = Dataset.from_list([{"prompt": _messages(p.context), "completion": _said(p.chosen)} for p in pairs])
    size = batch_size(len(pairs), recipe.sft_batch, recipe.min_steps)
    knobs = SFTConfig(learning_rate=recipe.sft_learning_rate, per_device_train_batch_size=size,
                      **_common(place, recipe, math.ceil(len(pairs) / size)))  # fmt: skip
    trainer = SFTTrainer(model=model, args=knobs, train_dataset=data, processing_class=tokenizer)
    trainer.train()
    return trainer.model


def _dpo(model: Any, tokenizer: Any, pairs: Sequence[Pair], recipe: Recipe, place: Path) -> Any:
    from datasets import Dataset  # noqa: PLC0415 - as above
    from trl.trainer.dpo_config import DPOConfig  # noqa: PLC0415 - as above
    from trl.trainer.dpo_trainer import DPOTrainer  # noqa: PLC0415 - as above

    data = Dataset.from_list([
        {"prompt": _messages(p.context), "chosen": _said(p.chosen), "rejected": _said(p.rejected)} for p in pairs
    ])  # fmt: skip
    size = batch_size(len(pairs), recipe.dpo_batch, recipe.min_steps)
    knobs = DPOConfig(learning_rate=recipe.dpo_learning_rate, per_device_train_batch_size=size,
                      **_common(place, recipe, math.ceil(len(pairs) / size)))  # fmt: skip
    trainer = DPOTrainer(model=model, args=knobs, train_dataset=data, processing_class=tokenizer)
    trainer.train()
    return trainer.model


def _common(place: Path, recipe: Recipe, steps: int) -> dict[str, Any]:
    return {
        "output_dir": str(place / "trainer"), "num_train_epochs": 1,
        "lr_scheduler_type": "warmup_stable_decay", "warmup_steps": recipe.warmup_ratio,
        "lr_scheduler_kwargs": {"num_decay_steps": math.ceil(recipe.decay_ratio * steps), "decay_type": "linear"},
        "weight_decay": recipe.weight_decay, "max_grad_norm": recipe.max_grad_norm, "max_length": recipe.max_length,
        "seed": recipe.seed % 2**31,
        "gradient_checkpointing": False, "report_to": [], "save_strategy": "no", "logging_strategy": "no",
        "disable_tqdm": True, "use_cpu": True, "bf16": False, "dataloader_pin_memory": False,
    }  # fmt: skip


def _messages(context: Context) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in context]


def _said(reply: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": reply}]
