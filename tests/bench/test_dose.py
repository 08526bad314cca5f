"""A cell of the dose benchmark is what its name says, and is run again when what it measures has changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dose
import pytest
from cells import CELLS, KINDS

from dreamloop.config import Config, Finetune


def cell(pairs: int, above: int, seeds: int = 3) -> dict[str, Any]:
    return {"pairs": pairs, "seeds": seeds, "probes.discrimination": {"above_noise": above}}


@pytest.mark.parametrize("one", CELLS, ids=lambda one: one.name)
def test_every_cell_changes_only_knobs_that_exist(one: Any) -> None:
    usual, own = Finetune().model_dump(), Finetune.model_validate(one.knobs).model_dump()
    assert {name for name in own if own[name] != usual[name]} == set(one.knobs)
    assert set(one.kinds) <= set(Config().night.kinds)


def test_no_two_cells_share_a_name_and_the_common_recipe_is_among_them() -> None:
    names = [one.name for one in CELLS]
    assert len(set(names)) == len(names)
    assert any(one.name == "200 pairs" and not one.knobs and one.kinds == KINDS for one in CELLS)


def test_enough_pairs_are_those_from_which_on_every_seed_is_above_noise() -> None:
    doses = {"10 pairs": cell(10, 0), "50 pairs": cell(50, 3), "100 pairs": cell(100, 2), "200 pairs": cell(200, 3)}
    assert dose.above_noise(doses) == 200  # at 100 one seed is not, so 50 was luck
    assert dose.above_noise({**doses, "200 pairs": cell(200, 1)}) is None
    assert dose.above_noise({**doses, "200 pairs, rate x 2": cell(200, 0)}) == 200  # a rate is no dose


def test_cells_of_other_code_or_another_dtype_are_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "dose.jsonl"
    monkeypatch.setattr(dose, "FINISHED", file)
    assert dose.kept("now", "float32", "g") == {}
    own = {"cell": "20 pairs", "seed": 1, "code": "now", "dtype": "float32", "general": "g"}
    lines = [
        own,
        {**own, "seed": 2, "code": "before"},
        {**own, "seed": 3, "dtype": "bfloat16"},
        {**own, "seed": 4, "general": "h"},
    ]
    file.write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    assert dose.kept("now", "float32", "g") == {("20 pairs", 1): own}
    dose.keep({**own, "seed": 2})
    assert len(file.read_text().splitlines()) == 5  # nothing of other code is lost by it
    assert [one["seed"] for one in dose.in_order(dose.kept("now", "float32", "g"))] == [1, 2]


def test_the_code_that_cells_are_held_to_is_all_there() -> None:
    assert len(dose.digest()) == 64  # every file that it names can be read
    assert dose.digest() == dose.digest()
