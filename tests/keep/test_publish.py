"""Swaps on a real vLLM server: what passes the proof, what it must see through, and where people end up."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from torch import Tensor

from dreamloop.errors import EngineError
from dreamloop.keep.generations import CONFIG, WEIGHTS, write_candidate
from dreamloop.keep.publish import Swap, go_live, prove
from dreamloop.keep.witnesses import choose_witnesses, read_witnesses, write_witnesses
from dreamloop.log import Silent
from dreamloop.model.encode import Branch, ChatEncoder, Row
from dreamloop.model.load import load_policy
from dreamloop.model.policy import Policy
from dreamloop.model.vllm_client import VllmClient
from dreamloop.paths import Home
from dreamloop.records import Message, Witnesses

pytestmark = pytest.mark.model
Change = Callable[[str, Tensor], tuple[str, Tensor]]


def lora(rank: int = 4, **more: object) -> LoraConfig:
    return LoraConfig(r=rank, lora_alpha=8, target_modules="all-linear", init_lora_weights=False, **more)  # type: ignore[arg-type]


@pytest.fixture
def nights(tiny: Policy, tiny_encoder: ChatEncoder, home: Home) -> Witnesses:
    """Yesterday's adapter as generation 1 and tonight's as 2, with tonight's witnesses."""
    tiny.add_adapter("candidate", lora(), 1)
    write_candidate(tiny, home, 1).folder.rename(home.generations / "000001")
    tiny.load_adapter("incumbent", home.generations / "000001")
    for weight in tiny.trainable("candidate").values():
        weight.data += 0.3 * weight.data.roll(1)
    folder = write_candidate(tiny, home, 2).folder.rename(home.generations / "000002")
    contexts = [(Message("user", f"Is the total {k} correct?"),) for k in (12, 34, 46)]
    rows = [tiny_encoder.branches(context, ("Yes, that is correct.", "No, check it."), 512) for context in contexts]
    witnesses = choose_witnesses(tiny, rows, "incumbent")
    write_witnesses(witnesses, folder)
    return witnesses


def swap(home: Home, name: str = "dreamloop-000002", folder: Path | None = None) -> Swap:
    return Swap("base", name, "dreamloop", folder or home.generations / "000002")


def test_tonights_adapter_is_proven_and_the_alias_answers_with_it(
    client: VllmClient, nights: Witnesses, home: Home
) -> None:
    client.load_adapter("dreamloop-000001", home.generations / "000001")
    client.load_adapter("dreamloop", home.generations / "000001")
    proof = prove(client, swap(home), nights, 0.1, Silent())
    assert proof.passed, proof.reason
    assert proof.share == pytest.approx(1, abs=1e-3)
    assert client.adapters()["dreamloop"].endswith("000001")  # people still talk to yesterday's
    go_live(client, swap(home), 5)
    folder = str(home.generations / "000002")
    assert client.adapters() == {"dreamloop": folder, "dreamloop-000002": folder}
    first = nights.rows[0]
    row = Row(first.context, (Branch(first.tokens, (True,) * len(first.tokens)),))
    assert client.reply_logprobs("dreamloop", row) == pytest.approx(first.candidate, abs=1e-3)


def test_yesterdays_adapter_under_tonights_name_is_refused(client: VllmClient, nights: Witnesses, home: Home) -> None:
    proof = prove(client, swap(home, folder=home.generations / "000001"), nights, 0.1, Silent())
    assert not proof.passed
    assert "it answers like the incumbent" in proof.reason
    assert client.adapters() == {}


def changed(home: Home, folder: Path, change: Change) -> Path:
    """Tonight's generation with its tensors changed, in a folder of its own."""
    folder.mkdir()
    shutil.copy(home.generations / "000002" / CONFIG, folder)
    tensors = load_file(home.generations / "000002" / WEIGHTS)
    save_file(dict(change(key, value.clone()) for key, value in tensors.items()), folder / WEIGHTS)
    return folder


def prefixed(key: str, value: Tensor) -> tuple[str, Tensor]:
    return key.replace("model.model.", "model.model.language_model."), value


def without_q(key: str, value: Tensor) -> tuple[str, Tensor]:
    return key, value * ("q_proj" not in key)


def without_one_mlp(key: str, value: Tensor) -> tuple[str, Tensor]:
    return key, value * ("layers.0.mlp" not in key)


def weaker(key: str, value: Tensor) -> tuple[str, Tensor]:
    return key, value * (0.9 if "lora_B" in key else 1)


def broken(key: str, value: Tensor) -> tuple[str, Tensor]:
    return key, value * (float("nan") if "layers.1" in key else 1)


@pytest.mark.parametrize("change", [prefixed, without_q, without_one_mlp, weaker, broken])
def test_an_adapter_of_which_a_part_is_lost_is_refused_and_unloaded(
    client: VllmClient,
    nights: Witnesses,
    home: Home,
    tmp_path: Path,
    change: Callable[[str, Tensor], tuple[str, Tensor]],
) -> None:
    proof = prove(client, swap(home, folder=changed(home, tmp_path / "changed", change)), nights, 0.1, Silent())
    assert not proof.passed, proof
    assert client.adapters() == {}


def test_a_refused_adapter_that_cannot_be_unloaded_is_refused_all_the_same(
    client: VllmClient, nights: Witnesses, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hangs(*_: object) -> None:
        raise EngineError("unload timed out")

    monkeypatch.setattr(VllmClient, "unload_adapter", hangs)
    proof = prove(client, swap(home, folder=home.generations / "000001"), nights, 0.1, Silent())
    monkeypatch.undo()
    assert not proof.passed


def test_adapters_of_other_people_stay(client: VllmClient, nights: Witnesses, home: Home) -> None:
    client.load_adapter("dreamloop-work", home.generations / "000001")
    client.load_adapter("dreamloop-000001", home.generations / "000001")
    go_live(client, swap(home), 5)
    assert client.adapters().keys() == {"dreamloop", "dreamloop-work"}


def test_an_adapter_that_the_server_refuses_is_a_failed_proof_with_its_reason(
    client: VllmClient, nights: Witnesses, home: Home, tiny_folder: Path
) -> None:
    other = load_policy(str(tiny_folder))
    other.add_adapter("candidate", lora(64), 0)
    proof = prove(client, swap(home, folder=write_candidate(other, home, 9).folder), nights, 0.1, Silent())
    assert not proof.passed
    assert "refused /v1/load_lora_adapter" in proof.reason


def test_witnesses_are_read_as_they_were_written(nights: Witnesses, home: Home) -> None:
    assert read_witnesses(home.generations / "000002") == nights
    assert len(nights.long_prompt) > 128
    moved = [sum((c - i) ** 2 for c, i in zip(w.candidate, w.incumbent, strict=True)) for w in nights.rows]
    assert moved == sorted(moved, reverse=True)
