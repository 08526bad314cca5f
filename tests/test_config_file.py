from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest

from dreamloop.config import Config
from dreamloop.config_file import commented, load_config, write_config
from dreamloop.errors import ConfigError


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "dreamloop.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[finetune]\nlerning_rate = 1\n", "no 'finetune.lerning_rate'. Did you mean 'finetune.sft_learning_rate'?"),
        ("[finetune]\nloraalpha = 1\n", "Did you mean 'finetune.lora_alpha'?"),
        ("dtyp = 'auto'\n", "Did you mean 'dtype'?"),
        ("modell = 'x'\n", "no 'modell'. Did you mean 'model'?"),
        ("[nigth]\nbehavioural = 1\n", "no 'nigth'. Did you mean 'night'?"),
        ("behavioral = 40\n", "Did you mean 'night.behavioural'?"),
        ("[gate]\nurl = 'http://127.0.0.1:1'\n", "Did you mean 'vllm.url'?"),
        ("[gate]\nperplexity = 0.1\n", "Did you mean 'gate.tonight.perplexity'?"),
        ("[gate.tonight]\nperplexity = -1\n", "'gate.tonight.perplexity' cannot be -1"),
        ("quux = 1\n", "no 'quux'. 'dreamloop init' writes a file with all there are."),
    ],
)
def test_an_unknown_key_is_refused_with_the_one_that_was_meant(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_config(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[night]\nbehavioural = -3\n", "'night.behavioural' cannot be -3: input should be greater than or equal to 0"),
        ("engine = 'llama.cpp'\n", "'engine' cannot be 'llama.cpp'"),
        ("[daemon]\nat = '25:00'\n", "'daemon.at' cannot be '25:00'"),
        ("[night]\nbehavioural = -3\nrewrites = -1\n", "(1 more after it.)"),
        ("night = 3\n", "'night' cannot be 3"),
        ("[vllm]\nurl = 'http://host:port'\n", "needs a host and, behind a colon, a port number"),
        ("[daemon]\nretry_minutes = inf\n", "'daemon.retry_minutes' cannot be inf"),
    ],
)
def test_a_value_that_does_not_fit_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_config(written(tmp_path, text))


def test_the_value_of_an_unknown_key_is_never_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, "[vllm]\napi_key = 'sk-secret'\n"))
    assert "sk-secret" not in str(caught.value)
    assert "Did you mean 'vllm.api_key_file'?" in str(caught.value)


@pytest.mark.parametrize("content", [b"model = \n", b"\xff\xfe", None])
def test_a_file_that_is_no_toml_is_one_sentence(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "dreamloop.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"is not TOML|cannot be read"):
        load_config(file)


def test_a_written_file_changes_nothing_until_it_is_edited(tmp_path: Path) -> None:
    write_config(tmp_path / "dreamloop.toml", {}, tmp_path)
    assert load_config(tmp_path / "dreamloop.toml") == Config()


def test_every_knob_of_a_written_file_can_be_uncommented(tmp_path: Path) -> None:
    knobs = re.sub(r"^# (?=\w+ = |    |\]$)", "", commented({}), flags=re.MULTILINE)
    values = tomllib.loads(knobs)
    assert values.keys() == Config.model_fields.keys()
    for name, field in Config.model_fields.items():
        table = getattr(field.annotation, "model_fields", None)
        if table is not None:
            assert values[name].keys() == table.keys()
    loaded = load_config(written(tmp_path, knobs))
    assert loaded.night == Config().night
    assert loaded.gate == Config().gate.model_copy(update={"items": tmp_path / "items"})


def test_what_is_given_is_written_as_it_is(tmp_path: Path) -> None:
    nasty = 'a "quoted" \\ folder\nü'
    given = {"model": nasty, "sources": ("logs", nasty), "vllm.url": "http://127.0.0.1:8000"}
    write_config(tmp_path / "new" / "dreamloop.toml", given, tmp_path / "new")
    found = load_config(tmp_path / "new" / "dreamloop.toml")
    assert (found.model, found.vllm.url) == (nasty, "http://127.0.0.1:8000")
    assert found.sources == (tmp_path / "new" / "logs", tmp_path / "new" / nasty)


def test_only_the_state_home_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    os.umask(0o022)
    write_config(tmp_path / "etc" / "dreamloop.toml", {}, tmp_path / "home")
    write_config(tmp_path / "home" / "dreamloop.toml", {}, tmp_path / "home")
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("etc", "home")] == [0o755, 0o700]


def test_a_given_value_that_does_not_fit_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'vllm\.url' cannot be 'localhost:8000'"):
        write_config(tmp_path / "dreamloop.toml", {"vllm.url": "localhost:8000"}, tmp_path)
    assert not (tmp_path / "dreamloop.toml").exists()


def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    file = written(tmp_path, "seed = 3\n")
    with pytest.raises(ConfigError, match="left as it is"):
        write_config(file, {}, tmp_path)
    assert file.read_text() == "seed = 3\n"


def test_sources_are_relative_to_the_file(tmp_path: Path) -> None:
    assert load_config(written(tmp_path, 'sources = ["logs"]\n')).sources == (tmp_path / "logs",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[finetune]\nlabel_smoothing = 0.1\n",
            "[finetune]: label_smoothing needs loss_type 'robust';",
        ),
        ("dtype = 'bfloat16'\n[finetune]\nmethod = 'full'\n", "finetune.method 'full' needs dtype 'float32'"),
        (
            "[replay]\nquality = { other = 2.0 }\n",
            "[replay]: quality names 'other', which is no source;",
        ),
    ],
)
def test_knobs_that_do_not_fit_together_are_told_without_the_whole_table(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, text))
    assert said in str(caught.value)
    assert "{" not in str(caught.value)
