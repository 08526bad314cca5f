from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from pathlib import Path

import pytest

from dreamloop.config import Config, Dream, Gate, Night, Replay, Vllm
from dreamloop.doctor.inputs import dreams, gate, model, replay, sources, vllm
from dreamloop.model.vllm_client import VllmClient
from dreamloop.paths import SAMPLES, Home


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A model folder that a test may damage."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def test_a_model_that_is_here_says_its_size(home: Home, folder: Path) -> None:
    found = model(Config(model=str(folder)), home)
    assert (found.level, "weights" in found.said) == ("good", True)


def test_a_model_that_must_be_fetched_is_not_fetched_to_find_out(home: Home) -> None:
    for name in ("bundled", "somebody/some-model-that-is-not-here"):
        found = model(Config(model=name), home)
        assert (found.level, "not here yet" in found.said) == ("note", True)
    assert not list(home.models.iterdir())


def damage_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def remove_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def cut_weights(folder: Path) -> None:
    os.truncate(folder / "model.safetensors", 50)


def remove_config(folder: Path) -> None:
    (folder / "config.json").unlink()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (damage_template, "no chat template"),
        (remove_weights, "no safetensors weights"),
        (cut_weights, "cannot be read"),
        (remove_config, "no config.json"),
    ],
)
def test_a_model_that_could_not_work_is_a_fault(home: Home, folder: Path, harm: object, words: str) -> None:
    assert callable(harm)
    harm(folder)
    found = model(Config(model=str(folder)), home)
    assert (found.level, words in found.said) == ("fault", True), found


def test_sources_tell_what_is_in_them(tmp_path: Path) -> None:
    found = sources(Config(sources=(SAMPLES,)))
    assert found.level == "good"
    assert "2 files" in found.said
    (tmp_path / "odd.json").write_text(json.dumps({"nothing": 1}))
    (tmp_path / "none.jsonl").write_text("")
    found = sources(Config(sources=(tmp_path,)))
    assert (found.level, "1 unknown" in found.said, "1 empty" in found.said) == ("note", True, True)


def test_no_sources_an_empty_folder_and_a_missing_one_differ(tmp_path: Path) -> None:
    assert sources(Config()).level == "note"
    assert sources(Config(sources=(tmp_path,))).level == "note"
    assert sources(Config(sources=(tmp_path / "gone",))).level == "fault"


def test_a_server_that_nobody_asked_for_is_not_looked_at(home: Home) -> None:
    assert vllm(Config(), home).level == "good"


def test_an_interpreter_without_vllm_is_told_what_to_install(home: Home, tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys._base_executable} -I -S "$@"\n')  # type: ignore[attr-defined] # CPython's own
    bare.chmod(0o700)
    for path in (bare, tmp_path / "nobody"):
        found = vllm(Config(engine="vllm", vllm=Vllm(python=path)), home)
        assert (found.level, "dreamloop[vllm]" in (found.mend or "")) == ("fault", True)


@pytest.mark.model
def test_a_taken_port_is_a_fault(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = vllm(Config(engine="vllm", vllm=Vllm(port=taken.getsockname()[1])), home)
    assert (found.level, "taken" in found.said) == ("fault", True)
    assert vllm(Config(engine="vllm"), home).level == "good"


@pytest.mark.model
def test_a_running_server_is_asked_for_its_base_and_its_adapters(
    home: Home, tiny_folder: Path, client: VllmClient, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text(client.address.key)
    knobs = Vllm(url=client.address.url, api_key_file=key)
    found = vllm(Config(model=str(tiny_folder), vllm=knobs), home)
    assert (found.level, "base 'base', adapters: none" in found.said) == ("good", True), found
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong")
    found = vllm(Config(model=str(tiny_folder), vllm=knobs.model_copy(update={"api_key_file": wrong})), home)
    assert (found.level, "API key" in found.said) == ("fault", True), found


def test_a_model_that_no_hub_could_have_is_a_fault(home: Home) -> None:
    found = model(Config(model="my model"), home)
    assert (found.level, "neither a folder nor a Hugging Face id" in found.said) == ("fault", True)


def test_nobody_at_the_url_is_a_fault(home: Home, tiny_folder: Path) -> None:
    found = vllm(Config(model=str(tiny_folder), vllm=Vllm(url="http://127.0.0.1:9")), home)
    assert (found.level, "cannot be reached" in found.said) == ("fault", True)


def test_the_gates_items_are_counted_and_a_damaged_file_is_a_fault(tmp_path: Path) -> None:
    assert "probes" in gate(Config()).said
    (tmp_path / "prose.toml").write_text("[[document]\n")
    found = gate(Config(gate=Gate(items=tmp_path)))
    assert (found.level, "is no TOML" in found.said) == ("fault", True)


def test_replay_says_what_there_is_and_what_cannot_be_read(tmp_path: Path) -> None:
    chat, text = tmp_path / "replay.jsonl", tmp_path / "notes.md"
    chat.write_text(
        json.dumps({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]})
    )
    text.write_text("A note.")
    found = replay(Config(replay=Replay(chat_files=(chat,), text_files=(text,))))
    assert (found.level, found.said) == ("good", "the base model's own answers, 1 chat rows, 1 pieces of text")
    assert replay(Config(replay=Replay(chat_files=(tmp_path / "none.jsonl",)))).level == "fault"
    nothing = Config.model_validate({"replay": {"base_answers": False}, "night": {"replay_share": 0}})
    assert replay(nothing).level == "note"


def test_the_phrase_books_are_read_and_a_damaged_one_of_the_users_is_named(tmp_path: Path) -> None:
    found = dreams(Config())
    assert (found.level, found.said) == ("good", "18 kinds in 12 domains, in en")
    assert dreams(Config(night=Night(kinds=()))).level == "note"
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "facts.md").write_text("placeholders:\n\n## facts\n- too | few\n")
    damaged = dreams(Config(dream=Dream(books=tmp_path)))
    assert (damaged.level, "'too | few'" in damaged.said) == ("fault", True)
