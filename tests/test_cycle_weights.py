"""Whole nights that train other weights, or go on with the optimizer's moments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from whole_nights import run

from dreamloop import trial
from dreamloop.config import Config
from dreamloop.errors import ModelError, StateError
from dreamloop.finetune.optimizer import read_moments
from dreamloop.keep import generations
from dreamloop.model.load import load_policy
from dreamloop.paths import Home
from dreamloop.records import Verdict

pytestmark = pytest.mark.night


def with_finetune(config: Config, **knobs: Any) -> Config:
    given = config.model_dump(exclude_defaults=True)
    return Config.model_validate({**given, "finetune": {**given.get("finetune", {}), **knobs}})


@pytest.mark.lenient
def test_kept_moments_go_on_in_the_next_night_and_reverted_ones_are_gone(
    home: Home, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrying = with_finetune(config, carry_optimizer=True)
    run(home, carrying)
    first = read_moments(Path(generations.read_generation(home, 1).path))
    steps = {name: tensor.item() for name, tensor in first.items() if name.endswith("/step")}
    run(home, carrying)
    second = read_moments(Path(generations.read_generation(home, 2).path))
    assert all(second[name].item() > count for name, count in steps.items())
    monkeypatch.setattr(trial, "decide", lambda *_: Verdict("revert", ("this test reverts",)))
    run(home, carrying)
    assert generations.pointed(home) == 2
    assert read_moments(home.current).keys() == second.keys()
    assert all(read_moments(home.current)[name].equal(tensor) for name, tensor in second.items())


@pytest.mark.lenient
def test_nights_of_full_weights_are_kept_as_whole_models_and_go_on(home: Home, config: Config, tmp_path: Path) -> None:
    full = with_finetune(config, method="full")
    run(home, full)
    second = run(home, full)
    assert second.model is not None
    assert second.model["incumbent"] == 1
    assert generations.pointed(home) == 2
    assert {"config.json", "model.safetensors", "tokenizer.json", "manifest.json"} <= {
        p.name for p in home.current.iterdir()
    }
    assert load_policy(str(home.current)).digest != load_policy(config.model).digest
    (home.current / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(StateError, match="damaged"):
        generations.current(home)


@pytest.mark.lenient
def test_an_adapter_cannot_be_continued_as_full_weights(home: Home, config: Config) -> None:
    run(home, config)
    with pytest.raises(ModelError, match="method to 'lora'"):
        run(home, with_finetune(config, method="full"))
    assert generations.pointed(home) == 1
