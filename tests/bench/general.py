"""General answers that nights of the benchmarks mix in: the base's own, written once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from dreamloop import paths
from dreamloop.finetune.replay import base_answers
from dreamloop.log import Silent, setup
from dreamloop.model.bundled import ensure_bundled
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.load import load_policy
from dreamloop.model.sampler import TransformersSampler
from dreamloop.paths import Home, default_home
from dreamloop.prompts import load_phrases

POOL = 268  # twice what a night of 200 pairs mixes in at most, for nights that begin at the base again


def prompts() -> list[str]:
    return list(load_phrases(paths.prompts_folder(), "replay")["prompts"])


def asked() -> str:
    """The digest of what the answers are to, and of how many are wanted: others are no answers to it."""
    return hashlib.sha256("\n".join([str(POOL), *prompts()]).encode()).hexdigest()


def place_of(home: Path) -> Path:
    """Where they are kept."""
    return home / f"general-{asked()[:8]}.jsonl"


def pool_of(home: Path) -> Path:
    """The base's own answers, written once."""
    path = place_of(home)
    if not path.is_file():
        place = Home(default_home())
        place.create()
        policy = load_policy(str(ensure_bundled(place.models, Silent())))
        sampler = TransformersSampler(policy, ChatEncoder(policy.tokenizer))
        rows, _ = base_answers(sampler, prompts(), POOL, 0, setup())
        lines = [{"messages": [{"role": "user", "content": row.context[-1].content},
                               {"role": "assistant", "content": row.reply}]} for row in rows]  # fmt: skip
        part = path.with_suffix(".part")
        part.write_text("".join(json.dumps(line) + "\n" for line in lines))
        part.replace(path)
    return path
