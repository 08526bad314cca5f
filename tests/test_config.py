from __future__ import annotations

import pytest
from pydantic import BaseModel

from dreamloop.config import Config, Daemon, Finetune, Gate, Night, Vllm
from dreamloop.config_file import load_config
from dreamloop.finetune.recipe import recipe_of


def test_without_a_file_every_knob_has_its_default() -> None:
    assert load_config(None) == Config()


def test_every_knob_is_explained() -> None:
    sections: tuple[type[BaseModel], ...] = (Config, Night, Finetune, Gate, Vllm, Daemon)
    for section in sections:
        for name, field in section.model_fields.items():
            assert field.description or name in {"night", "finetune", "gate", "vllm", "daemon"}, name


@pytest.mark.parametrize("rank", [1, 4, 8, 16, 64])
def test_the_gain_stays_near_two_whatever_the_rank(rank: int) -> None:
    assert 1.7 <= recipe_of(Finetune(r=rank), 0).gain <= 2.2


def test_an_explicit_alpha_is_taken_as_it_is() -> None:
    assert recipe_of(Finetune(r=8, lora_alpha=16, use_rslora=False), 0).gain == 2.0
