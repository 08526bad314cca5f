"""A model made ready for a night: what the configuration names is there, or the night says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dreamloop.config import Config
from dreamloop.errors import ModelError
from dreamloop.keep.generations import promote, write_candidate
from dreamloop.log import Silent
from dreamloop.model import load, policy
from dreamloop.model.wake import Model, wake
from dreamloop.paths import Home


def woken(folder: Path, home: Home, **finetune: Any) -> Model:
    config = Config.model_validate({"model": str(folder), "finetune": finetune})
    return wake(config, home.models, None, None, 0, Silent())


@pytest.mark.parametrize(
    "knobs",
    [
        {"target_modules": ["q_proj", "nonsense"]},
        {"rank_pattern": {"nonsense": 4}},
        {"alpha_pattern": {"nonsense": 4}},
        {"target_modules": ["q_proj"], "rank_pattern": {"down_proj": 4}},
    ],
)
def test_a_layer_that_is_named_and_not_there_is_told(tiny_folder: Path, home: Home, knobs: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="no adapter stands there; this model has"):
        woken(tiny_folder, home, **knobs)


def test_what_is_named_may_be_a_pattern_as_peft_reads_it(tiny_folder: Path, home: Home) -> None:
    model = woken(tiny_folder, home, r=4, rank_pattern={r"layers\.0\..*_proj": 2})
    assert model.policy.ranks("candidate") == (2, 4)


def test_the_lm_head_gets_no_adapter(tiny_folder: Path, home: Home) -> None:
    with pytest.raises(ModelError, match="LM head"):
        woken(tiny_folder, home, target_modules=["q_proj", "lm_head"])


def test_frozen_contexts_are_checked_and_refused_where_packs_are_impossible(
    tiny_folder: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert woken(tiny_folder, home, context_gradient="frozen").exactness < 1e-4
    monkeypatch.setattr(policy, "_packable", lambda *_: False)
    with pytest.raises(ModelError, match="contexts cannot run apart"):
        woken(tiny_folder, home, context_gradient="frozen")
    assert woken(tiny_folder, home).exactness < 1e-4


def test_full_weights_are_float32_wherever_nothing_else_is_said(
    tiny_folder: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_a_gpu(_: str, dtype: str) -> tuple[torch.device, torch.dtype]:
        return torch.device("cpu"), {"float32": torch.float32}.get(dtype, torch.bfloat16)

    monkeypatch.setattr(load, "placement", on_a_gpu)
    assert woken(tiny_folder, home, method="full").policy.dtype == torch.float32
    assert woken(tiny_folder, home).policy.dtype == torch.bfloat16


def test_an_adapter_that_vllm_does_not_serve_is_not_continued_for_it(tiny_folder: Path, home: Home) -> None:
    model = woken(tiny_folder, home, use_dora=True)
    kept = promote(home, write_candidate(model.policy, home, 1), 1, model.policy.digest, None)
    config = Config.model_validate({"model": str(tiny_folder), "engine": "vllm"})
    with pytest.raises(ModelError, match="no plain LoRA"):
        wake(config, home.models, kept, kept, 0, Silent())
    quiet = Config.model_validate({"model": str(tiny_folder), "vllm": {"publish": False}})
    assert wake(quiet, home.models, kept, kept, 0, Silent()).serving == "incumbent"
