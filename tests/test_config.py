from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from dreamloop.config import Adapt, Config, Daemon, Dream, Finetune, Gate, Night, Replay, SinceBase, Tonight, Vllm
from dreamloop.config_file import load_config
from dreamloop.finetune.recipe import recipe_of


def test_without_a_file_every_knob_has_its_default() -> None:
    assert load_config(None) == Config()


def test_every_knob_is_explained() -> None:
    sections: tuple[type[BaseModel], ...] = (
        Config,
        Night,
        Dream,
        Finetune,
        Replay,
        Gate,
        Tonight,
        SinceBase,
        Adapt,
        Vllm,
        Daemon,
    )
    tables = {"night", "dream", "finetune", "replay", "gate", "tonight", "since_base", "adapt", "vllm", "daemon"}
    for section in sections:
        for name, field in section.model_fields.items():
            assert field.description or name in tables, name


def test_a_gate_without_any_items_is_refused() -> None:
    with pytest.raises(ValueError, match="without items no night is kept"):
        Gate(shipped=False)


@pytest.mark.parametrize("rank", [1, 4, 8, 16, 64])
def test_the_gain_stays_near_two_whatever_the_rank(rank: int) -> None:
    gain = recipe_of(Finetune(r=rank), 0).gain
    assert gain is not None
    assert 1.7 <= gain <= 2.2


def test_an_explicit_alpha_is_taken_as_it_is() -> None:
    assert recipe_of(Finetune(r=8, lora_alpha=16, use_rslora=False), 0).gain == 2.0


def test_what_is_unset_depends_on_what_is_trained() -> None:
    lora, full = recipe_of(Finetune(), 0), recipe_of(Finetune(method="full"), 0)
    assert (lora.sft_learning_rate, lora.dpo_learning_rate, lora.beta) == (2e-5, 1e-4, 0.7)
    assert (full.sft_learning_rate, full.dpo_learning_rate, full.beta, full.gain) == (1e-5, 5e-7, 0.7, None)
    assert recipe_of(Finetune(loss_type="sigmoid"), 0).beta == 0.1
    assert lora.hold_learning_rate == 1e-4 / 4
    assert recipe_of(Finetune(dpo_learning_rate=8e-4), 0).hold_learning_rate == 2e-4
    assert recipe_of(Finetune(dpo_learning_rate=8e-4, hold_learning_rate=2e-4), 0).hold_learning_rate == 2e-4
    assert recipe_of(Finetune(loss_type="robust", method="full"), 0).beta == 0.01
    assert recipe_of(Finetune(method="full", beta=0.3), 0).beta == 0.3


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({"engine": "vllm", "finetune": {"use_dora": True}}, "vLLM does not serve DoRA"),
        (
            {"vllm": {"url": "http://127.0.0.1:8000"}, "finetune": {"lora_bias": True}},
            "vLLM does not serve a LoRA bias",
        ),
        ({"engine": "vllm", "finetune": {"method": "full"}}, "not whole models"),
        ({"dtype": "bfloat16", "finetune": {"method": "full"}}, "rounds small steps away"),
        ({"finetune": {"init_lora_weights": "pissa"}}, "rewrites the base weights"),
        ({"finetune": {"init_lora_weights": "pissa_niter_4"}}, "rewrites the base weights"),
        ({"finetune": {"label_smoothing": 0.1}}, "needs loss_type 'robust'"),
        ({"finetune": {"optim": "apollo_adamw"}}, "is for method 'full'"),
        ({"finetune": {"method": "full", "optim": "apollo_adamw", "carry_optimizer": True}}, "random projections"),
        ({"replay": {"base_answers": False}}, "names no source"),
        ({"adapt": {"larger": [200, 50]}}, "larger must rise"),
    ],
)
def test_what_does_not_fit_together_is_refused_with_the_reason(raw: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Config.model_validate(raw)


def test_what_vllm_does_not_serve_is_fine_where_nothing_is_published() -> None:
    for knob in ("use_dora", "lora_bias"):
        Config.model_validate({"engine": "vllm", "vllm": {"publish": False}, "finetune": {knob: True}})
    Config.model_validate({"replay": {"base_answers": False}, "night": {"replay_share": 0}})
