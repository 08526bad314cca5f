from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from peft import LoraConfig
from safetensors.torch import load_file, save_file

from dreamloop.errors import StateError
from dreamloop.keep import generations as g
from dreamloop.model.encode import Branch, Row
from dreamloop.model.load import load_policy
from dreamloop.model.policy import Adapter, Policy
from dreamloop.model.score import completion_logprobs
from dreamloop.paths import Home

LORA = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False)
ROW = Row((3, 4, 5), (Branch((6, 7, 9), (True,) * 3),))


def kept(policy: Policy, home: Home, number: int, parent: int | None = None, seed: int = 0) -> None:
    if policy.peft is None:
        policy.add_adapter("candidate", LORA, seed)
    g.promote(home, g.write_candidate(policy, home, number), number, policy.digest, parent)


def test_a_generation_answers_exactly_as_the_candidate_did(tiny: Policy, tiny_folder: Path, home: Home) -> None:
    tiny.add_adapter("candidate", LORA, 0)
    before = completion_logprobs(tiny, [ROW])
    kept(tiny, home, 1)
    g.point(home, 1)
    found = g.current(home)
    assert found is not None
    fresh = load_policy(str(tiny_folder))
    fresh.load_adapter("incumbent", Path(found.path))
    assert completion_logprobs(fresh, [ROW])[0][0].tolist() == before[0][0].tolist()
    assert (home.current / g.WEIGHTS).is_file()


def test_a_candidate_is_no_generation_before_its_manifest(tiny: Policy, home: Home) -> None:
    tiny.add_adapter("candidate", LORA, 0)
    folder = g.write_candidate(tiny, home, 1).folder
    assert g.all_numbers(home) == []
    folder.rename(home.generations / "000001")
    assert g.all_numbers(home) == []
    with pytest.raises(StateError, match="missing or unreadable"):
        g.point(home, 1)
    kept(tiny, home, 1)
    assert g.all_numbers(home) == [1]


def test_the_pointer_moves_at_once_and_goes_back(tiny: Policy, home: Home) -> None:
    kept(tiny, home, 1)
    kept(tiny, home, 2, parent=1)
    g.point(home, 2)
    assert g.pointed(home) == 2
    assert g.parent_of(home, 2) == 1
    g.point(home, 1)
    assert g.pointed(home) == 1
    g.point(home, None)
    assert g.current(home) is None
    assert g.all_numbers(home) == [1, 2]


def test_a_crash_that_left_a_half_made_pointer_is_no_obstacle(tiny: Policy, home: Home) -> None:
    (home.root / ".current").symlink_to("generations/000009")
    kept(tiny, home, 1)
    g.point(home, 1)
    assert g.pointed(home) == 1


def test_damaged_weights_are_noticed(tiny: Policy, home: Home) -> None:
    kept(tiny, home, 1)
    g.point(home, 1)
    (home.generations / "000001" / g.WEIGHTS).write_bytes(b"short")
    with pytest.raises(StateError, match="is damaged"):
        g.current(home)


def test_a_pointer_to_nowhere_is_named(home: Home) -> None:
    home.current.symlink_to("somewhere")
    with pytest.raises(StateError, match="no generation"):
        g.current(home)


def test_files_are_private(tiny: Policy, home: Home) -> None:
    assert home.root.stat().st_mode & 0o077 == 0


def test_a_discarded_candidate_leaves_nothing(tiny: Policy, home: Home) -> None:
    tiny.add_adapter("candidate", LORA, 0)
    g.discard(g.write_candidate(tiny, home, 1).folder)
    assert list(home.candidates.iterdir()) == []


@pytest.mark.parametrize("manifest", ["{}", "[]", "null", "not json"])
def test_a_manifest_that_says_nothing_is_one_sentence(tiny: Policy, home: Home, manifest: str) -> None:
    kept(tiny, home, 1)
    g.point(home, 1)
    (home.generations / "000001" / g.MANIFEST).write_text(manifest)
    with pytest.raises(StateError, match="missing or unreadable"):
        g.current(home)
    assert g.parent_of(home, 1) is None


def test_a_folder_that_is_no_number_is_passed_over(tiny: Policy, home: Home) -> None:
    kept(tiny, home, 1)
    (home.generations / "000001").rename(home.generations / "000001.bak")
    assert g.all_numbers(home) == []


def test_a_disk_that_fills_up_while_the_weights_are_written_is_one_sentence(tiny: Policy, home: Home) -> None:
    tiny.add_adapter("candidate", LORA, 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(StateError, match="free some disk space"):
            g.write_candidate(tiny, home, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(home.candidates.iterdir()) == []


@pytest.mark.parametrize("harm", [lambda data: data[:-1000], lambda data: data[:-4] + b"\x00\x00\x80\x3f"])
def test_a_candidate_whose_files_are_not_those_that_were_judged_is_not_kept(
    tiny: Policy, home: Home, harm: Callable[[bytes], bytes]
) -> None:
    tiny.add_adapter("candidate", LORA, 0)
    candidate = g.write_candidate(tiny, home, 1)
    path = candidate.folder / g.WEIGHTS
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(StateError, match="not the one that was judged"):
        g.promote(home, candidate, 1, tiny.digest, None)
    assert g.all_numbers(home) == []


def other_numbers(folder: Path) -> None:
    found = load_file(folder / g.WEIGHTS)
    save_file({key: tensor + 1 for key, tensor in found.items()}, folder / g.WEIGHTS)


def another_gain(folder: Path) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "lora_alpha": 1}))


def half_a_configuration(folder: Path) -> None:
    path = folder / "adapter_config.json"
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize("harm", [other_numbers, another_gain, half_a_configuration])
def test_files_that_do_not_read_back_as_they_were_written_are_no_candidate(
    tiny: Policy, home: Home, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], None]
) -> None:
    tiny.add_adapter("candidate", LORA, 0)
    real = tiny.save

    def harmed(name: Adapter, folder: Path) -> None:
        real(name, folder)
        harm(folder)

    monkeypatch.setattr(tiny, "save", harmed)
    with pytest.raises(StateError, match="does not read back"):
        g.write_candidate(tiny, home, 1)
    assert list(home.candidates.iterdir()) == []
