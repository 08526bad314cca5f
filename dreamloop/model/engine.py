"""What writes tonight, and the server it may need: the one place that knows which engine was chosen.

The embedded engine is the loaded model itself. The vLLM engine is a server, either one that runs
already or one for the night; it writes before the model is loaded for training, so that the two never
have to share a GPU.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dreamloop.config import Config, Vllm
from dreamloop.errors import ConfigError, EngineError, StateError
from dreamloop.log import Progress
from dreamloop.model.device import placement
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.load import load_tokenizer
from dreamloop.model.policy import Adapter
from dreamloop.model.sampler import Sampler, TransformersSampler
from dreamloop.model.vllm_client import Address, VllmClient
from dreamloop.model.vllm_sampler import VllmSampler
from dreamloop.model.vllm_server import Spec, serving
from dreamloop.model.wake import Model, base_folder
from dreamloop.paths import Home
from dreamloop.records import Generation

_CREDENTIAL = "vllm-api-key"
_BACK_S = 30.0  # a server that systemd restarts is usually back by then


@dataclass(frozen=True, slots=True)
class Writer:
    """An engine ready to write, and the encoder whose tokens it understands."""

    sampler: Sampler
    encoder: ChatEncoder


@dataclass(frozen=True, slots=True)
class Session:
    """A server that answers: how to talk to it and what it calls the base model."""

    client: VllmClient
    base: str
    revive: Callable[[], Address]


@contextmanager
def writing(
    config: Config, home: Home, incumbent: Generation | None, wake: Callable[[], Model], progress: Progress
) -> Iterator[Writer]:
    """The configured engine for the block.

    Args:
        config: which engine, and how to reach it. home: where a server of the night's own keeps its log.
        incumbent: yesterday's generation. wake: loads the model; called only by the embedded engine.
        progress: where to show long steps.

    Raises:
        EngineError: the server cannot be had, or refuses the incumbent.
    """
    if config.engine == "transformers":
        model = wake()
        yield Writer(TransformersSampler(model.policy, model.encoder), model.encoder)
        return
    with connected(config, home, incumbent, progress) as session:
        encoder = ChatEncoder(load_tokenizer(base_folder(config, home.models, progress)))
        names: dict[Adapter | None, str] = {None: session.base}
        if incumbent:
            names["incumbent"] = versioned(config.vllm.alias, incumbent.number)

        def ready() -> None:
            if incumbent and names["incumbent"] not in session.client.adapters():
                session.client.load_adapter(names["incumbent"], Path(incumbent.path))

        revived = False

        def revive() -> Address:
            nonlocal revived
            if revived:  # a server that dies twice in a night would die again
                raise EngineError(f"The server at {session.client.address.url} died twice tonight; see its log.")
            revived = True
            address = session.revive()
            ready()
            return address

        ready()
        yield Writer(VllmSampler(session.client.address, names, encoder, config.vllm.concurrency, revive), encoder)


@contextmanager
def connected(config: Config, home: Home, generation: Generation | None, progress: Progress) -> Iterator[Session]:
    """A session with the running server at ``vllm.url``, or with a server started for the block.

    Args:
        config: which server. home: where a server of the block's own keeps its log.
        generation: the adapter that it will be shown; it may be of another rank than a new one would be.
        progress: where to show long steps.

    Raises:
        EngineError: it cannot be started or reached, or serves another base model.
    """
    folder = base_folder(config, home.models, progress)
    if config.vllm.url:
        client = VllmClient(Address(config.vllm.url, _key(config.vllm), config.vllm.request_timeout_s))
        try:
            yield Session(client, _base_name(client, config, folder), lambda: _wait_for(client))
        finally:
            client.close()
        return
    device, dtype = placement(config.device, config.dtype)
    rank = max(config.finetune.largest_rank, _rank(generation) if generation else 0)
    spec = Spec(folder, "base", str(dtype).removeprefix("torch."), rank, device.type == "cpu")
    with serving(spec, config.vllm, home.engine_note, home.engine_log, progress) as (server, address):
        client = VllmClient(address)

        def revive() -> Address:
            client.move(server.restart())
            return client.address

        try:
            yield Session(client, spec.name, revive)
        finally:
            client.close()


def versioned(alias: str, number: int) -> str:
    """What the server calls one generation; never used for another, so no cache can mix them up."""
    return f"{alias}-{number:06d}"


def _rank(generation: Generation) -> int:
    try:
        adapter = json.loads((Path(generation.path) / "adapter_config.json").read_text(encoding="utf-8"))
        return max(int(adapter["r"]), *map(int, (adapter.get("rank_pattern") or {0: 0}).values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(
            f"The adapter_config.json of generation {generation.number} cannot be read; "
            "'dreamloop revert' goes back to an earlier one."
        ) from error


def _wait_for(client: VllmClient) -> Address:
    until = time.monotonic() + _BACK_S
    while not client.healthy():
        if time.monotonic() > until:
            raise EngineError(f"The server at {client.address.url} does not answer; start it again.")
        time.sleep(1)
    return client.address


def _base_name(client: VllmClient, config: Config, folder: str) -> str:
    """What the running server calls the base model."""
    bases = client.bases()
    if config.vllm.alias in bases:  # the server would refuse an adapter of that name
        raise EngineError(
            f"The server at {client.address.url} calls the base model {config.vllm.alias!r}, as the adapter will be "
            "called; start it under another name, or change vllm.alias."
        )
    if config.vllm.base:
        if config.vllm.base not in bases:
            raise EngineError(
                f"The server at {client.address.url} serves {sorted(bases)} and no {config.vllm.base!r}; "
                "correct vllm.base."
            )
        return config.vllm.base
    same = {config.model, folder, Path(folder).name}
    found = [name for name, root in bases.items() if {name, root, Path(root).name} & same]
    if not found:
        raise EngineError(
            f"The server at {client.address.url} serves {sorted(bases)}, which does not look like the base model "
            f"{config.model}; start it with that model, or set vllm.base to the name if it is the same."
        )
    return found[0]


def _key(knobs: Vllm) -> str:
    # systemd puts a service's credentials into a folder that only the service can read.
    given = Path(os.environ.get("CREDENTIALS_DIRECTORY", os.devnull)) / _CREDENTIAL
    file = knobs.api_key_file or (given if given.is_file() else None)
    if file is None:
        return ""
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The API key in {file} cannot be read ({error}); check vllm.api_key_file.") from error
