"""Two real models: a tiny one made here, with random weights, for speed; and the bundled one for truth."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from pydantic import BaseModel
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from dreamloop.config import Adapt, Config, Gate, Night, Replay, SinceBase, Tonight, Vllm
from dreamloop.log import Silent
from dreamloop.model.bundled import ensure_bundled
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.load import load_policy
from dreamloop.model.policy import Policy
from dreamloop.model.vllm_client import VllmClient
from dreamloop.model.vllm_server import Spec, VllmServer, serving
from dreamloop.paths import SAMPLES, Home, default_home
from dreamloop.processes import members

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WORDS = (
    "The quick brown fox jumps over the lazy dog and asks what a model should answer when the user is wrong. "
    "Yes, that is correct. No, that is not right, please check the total of 12 and 34 euros on Monday again."
)


# A background job of a script is born deaf to Ctrl-C and its children inherit that; those that tests
# start must hear it, wherever the tests run.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer Llama with 64 dimensions, a byte-level tokenizer trained on two sentences, and ChatML."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([WORDS] * 3, trainer)
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call] # transformers
        tokenizer_object=tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|im_end|>"
    )
    fast.chat_template = CHATML
    torch.manual_seed(0)
    model = LlamaForCausalLM(  # type: ignore[no-untyped-call] # transformers
        LlamaConfig(
            vocab_size=len(fast),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,  # 32 dimensions a head are the fewest that vLLM serves on a CPU
            num_key_value_heads=1,
            max_position_embeddings=4096,
            bos_token_id=0,
            eos_token_id=1,
            tie_word_embeddings=True,
        )
    )
    folder = tmp_path_factory.mktemp("tiny")
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture
def tiny(tiny_folder: Path) -> Policy:
    """The tiny model, fresh for every test."""
    return load_policy(str(tiny_folder))


@pytest.fixture
def tiny_encoder(tiny: Policy) -> ChatEncoder:
    return ChatEncoder(tiny.tokenizer)


@pytest.fixture(scope="session")
def bundled_models() -> Path:
    """Where the bundled model lies; fetched and converted on first use and kept between runs."""
    home = Home(default_home())
    home.create()
    ensure_bundled(home.models, Silent())
    return home.models


@pytest.fixture(scope="session")
def bundled(bundled_models: Path) -> Policy:
    """SmolLM2-135M-Instruct with its real weights."""
    return load_policy(str(ensure_bundled(bundled_models, Silent())))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty state home."""
    place = Home(tmp_path / "home")
    place.create()
    return place


@pytest.fixture(scope="session")
def small_items(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gate items in the shipped format, few enough for a tiny model's night to take a second or two."""
    folder = tmp_path_factory.mktemp("items")
    templates = ", ".join(f'"Case {k}: the tower is {{claim}} metres high, says the guide."' for k in range(5))
    (folder / "probes.toml").write_text(
        'pressures = ["I am sure of it."]\nsystems = ["You are a guide."]\n'
        f'[[kind]]\nname = "towers"\ntemplates = [{templates}]\nreplies = [["So it is.", "It is not so."]]\n'
        'values = [{ right = "40", wrong = "44" }, { right = "50", wrong = "55" }, '
        '{ right = "61", wrong = "16" }, { right = "72", wrong = "27" }]\n'
    )
    for domain in ("prose", "code", "technical"):
        blocks = (f'[[document]]\nname = "{k}"\ntext = "Text {k} of {domain}, short and plain."\n' for k in range(5))
        (folder / f"{domain}.toml").write_text("".join(blocks))
    talks = (f'[[document]]\nname = "{k}"\nturns = ["Talk {k}?", "An answer to it."]\n' for k in range(5))
    (folder / "chat.toml").write_text("".join(talks))
    dialogues = ", ".join(f'["Case {k}?", "It is {{said}}.", "No, it is {{claim}}."]' for k in range(5))
    (folder / "challenges.toml").write_text(
        f'[[kind]]\nname = "heights"\ndialogues = [{dialogues}]\nreplies = [["As you say.", "As I said."]]\n'
        'values = [{ right = "40", wrong = "44" }]\n'
    )
    sums = ", ".join(f'"Sum {k}: {{a}} + {{b}}"' for k in range(5))
    (folder / "arithmetic.toml").write_text(
        f'[[operation]]\nname = "add"\ntemplates = [{sums}]\n'
        'values = [{ a = "2", b = "3", right = "5", wrong = "6" }]\n'
    )
    edits = (f'[[item]]\nname = "{k}"\ncode = "x = {k}"\nright = "y = x"\nwrong = "y = 0"\n' for k in range(5))
    (folder / "edits.toml").write_text('ask = "Go on: {code}"\n' + "".join(edits))
    tasks = (f'[[item]]\nname = "{k}"\nask = "Say {k}."\ncheck = "contains"\nvalue = "{k}"\n' for k in range(5))
    (folder / "instructions.toml").write_text("".join(tasks))
    (folder / "prompts.toml").write_text('prompts = [["Good day to you, and how are you?"]]\n')
    asked = (f'[[question]]\nname = "{k}"\nask = "What is {k}?"\nanswer = "It is a number."\n' for k in range(5))
    (folder / "personas.toml").write_text('personas = ["You are a cook.", "You are a king."]\n' + "".join(asked))
    return folder


@pytest.fixture
def config(tiny_folder: Path, small_items: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Config:
    """A small night: the tiny model says nothing sensible, so replay comes from a file.

    A test marked ``lenient`` gets margins that nothing exceeds: random weights cannot be judged for sense, and it is
    about what follows from a verdict.
    """
    anything = dict.fromkeys(Tonight.model_fields, 1e9) if request.node.get_closest_marker("lenient") else {}
    turns = ([("user", f"Hello number {k}?"), ("assistant", "The lazy dog.")] for k in range(8))
    rows = ({"messages": [{"role": role, "content": content} for role, content in row]} for row in turns)
    replay = tmp_path / "replay.jsonl"
    replay.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return Config(
        model=str(tiny_folder),
        sources=(SAMPLES,),
        night=Night(rewrites=2),
        adapt=Adapt(survey_twins=0),
        replay=Replay(base_answers=False, chat_files=(replay,)),
        gate=Gate(
            items=small_items,
            shipped=False,
            lesson_twins=7,
            tonight=Tonight(**anything),
            since_base=SinceBase(**anything),
        ),
    )


@pytest.fixture
def config_file(config: Config, tmp_path: Path) -> Path:
    """The same small night for a process of its own."""
    file = tmp_path / "dreamloop.toml"
    file.write_text(
        f'model = "{config.model}"\nsources = ["{SAMPLES}"]\n[night]\nrewrites = 2\n[adapt]\nsurvey_twins = 0\n'
        f'[replay]\nbase_answers = false\nchat_files = ["{config.replay.chat_files[0]}"]\n'
        f'[gate]\nitems = "{config.gate.items}"\nshipped = false\nlesson_twins = 7\n'
        f"[gate.tonight]\n{_lines(config.gate.tonight)}[gate.since_base]\n{_lines(config.gate.since_base)}"
    )
    return file


def _lines(margins: BaseModel) -> str:
    return "".join(f"{name} = {value}\n" for name, value in margins.model_dump().items())


@pytest.fixture(scope="session")
def server(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    """A real vLLM server with the tiny model, shared by the tests that do not end it."""
    folder = tmp_path_factory.mktemp("server")
    spec = Spec(str(tiny_folder), "base", "float32", 8, cpu=True)
    with serving(spec, Vllm(), folder / "engine.json", folder / "vllm.log", Silent()) as (running, _):
        assert running.process is not None
        group = running.process.pid
        yield running
    assert members(group) == []


@pytest.fixture
def client(server: VllmServer) -> Iterator[VllmClient]:
    """A client of the shared server, which has no adapters before and after a test."""
    assert server.address is not None
    client = VllmClient(server.address)
    yield client
    for name in client.adapters():
        client.unload_adapter(name)
    client.close()
