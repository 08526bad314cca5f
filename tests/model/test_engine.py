"""The engine of a night's own, when its server dies in the middle."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from peft import LoraConfig

from dreamloop.config import Config
from dreamloop.errors import EngineError
from dreamloop.keep.generations import write_candidate
from dreamloop.log import Advance
from dreamloop.model.engine import writing
from dreamloop.model.policy import Policy
from dreamloop.model.sampler import Request
from dreamloop.model.wake import Model
from dreamloop.paths import Home
from dreamloop.processes import members
from dreamloop.records import Generation, Message

pytestmark = pytest.mark.model
REQUESTS = [Request((Message("user", f"Question {k}?"),), 40, 0.0) for k in range(24)]


class Killer:
    """Progress that kills the server's whole group once, after a few replies."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.armed = False
        self.killed: list[int] = []

    @contextmanager
    def track(self, what: str, total: int, unit: str) -> Iterator[Advance]:
        def advance(units: int) -> None:
            if unit == "replies" and self.armed:
                self.armed = False
                self.kill()

        yield advance

    def kill(self) -> None:
        group = json.loads(self.home.engine_note.read_text())["group"]
        os.killpg(group, signal.SIGKILL)
        self.killed.append(group)


def never() -> Model:
    raise AssertionError("the vLLM engine needs no model in this process")


def test_a_server_killed_while_writing_is_started_again_once_and_nothing_is_lost(
    home: Home, tiny: Policy, tiny_folder: Path
) -> None:
    # Yesterday's rank is larger than the configured one of a new adapter.
    tiny.add_adapter("candidate", LoraConfig(r=16, target_modules="all-linear", init_lora_weights=False), 0)
    incumbent = Generation(1, str(write_candidate(tiny, home, 1).folder), "", tiny.digest)
    config = Config(model=str(tiny_folder), engine="vllm")
    progress = Killer(home)
    with writing(config, home, incumbent, never, progress) as writer:
        whole = writer.sampler.sample(REQUESTS, "incumbent", 7, progress, "test")
        progress.armed = True
        again = writer.sampler.sample(REQUESTS, "incumbent", 7, progress, "test")
        assert again == whole
        assert len(progress.killed) == 1
        progress.kill()
        with pytest.raises(EngineError, match="died twice tonight"):
            writer.sampler.sample(REQUESTS, "incumbent", 7, progress, "test")
    assert [members(group) for group in progress.killed] == [[], []]
    assert not home.engine_note.exists()
