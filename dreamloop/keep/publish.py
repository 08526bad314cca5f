"""A kept generation into the serving vLLM: load, prove, then let the stable alias point to it.

The new adapter comes under a name and a path of its own, so that no cache can answer for it, and people
keep talking to the old one until the proof has passed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dreamloop.errors import EngineError, SwapRefused
from dreamloop.keep.proof import judge_swap, refused
from dreamloop.log import Progress
from dreamloop.model.encode import Branch, Row
from dreamloop.model.vllm_client import VllmClient
from dreamloop.records import Proof, Scores, ServedScores, Witness, Witnesses


@dataclass(frozen=True, slots=True)
class Swap:
    """What goes where: the generation's folder under ``name``, then under ``alias``; ``base`` is the base's name."""

    base: str
    name: str
    alias: str
    folder: Path


def prove(client: VllmClient, swap: Swap, witnesses: Witnesses, tolerance: float, progress: Progress) -> Proof:
    """Load the adapter under its own name and ask the server for the witnesses, one at a time.

    A server that fails the proof no longer serves the name afterwards.

    Raises:
        EngineError: the server cannot be reached or asked; nothing is known of the adapter.
    """
    total = 3 * len(witnesses.rows) + 1
    with progress.track("proving the swap", total, "prompts") as advance:

        def scores(model: str) -> tuple[Scores, ...]:
            found = []
            for witness in witnesses.rows:
                found.append(tuple(client.reply_logprobs(model, _row(witness))))
                advance(1)
            return tuple(found)

        before = scores(swap.base)
        try:
            client.load_adapter(swap.name, swap.folder)
        except EngineError as error:
            if not client.healthy():
                raise
            return refused(str(error))
        first, *rest = witnesses.long_prompt
        long_row = Row((first,), (Branch(tuple(rest), (True,) * len(rest)),))
        adapter = scores(swap.name)
        long_prompt = tuple(client.reply_logprobs(swap.name, long_row))
        advance(1)
        served = ServedScores(before, adapter, scores(swap.base), long_prompt)
    proof = judge_swap(witnesses, served, tolerance)
    if not proof.passed:
        client.unload_adapter(swap.name)
    return proof


def go_live(client: VllmClient, swap: Swap, drain_s: float) -> None:
    """Let the alias answer with the generation, then unload older ones once they have nothing to do.

    Raises:
        SwapRefused: the server does not name the generation's folder behind the alias afterwards.
        EngineError: it cannot be reached.
    """
    client.load_adapter(swap.alias, swap.folder)
    behind = client.adapters().get(swap.alias)
    if behind != str(swap.folder):
        raise SwapRefused(
            f"The server at {client.address.url} has {behind} behind {swap.alias!r} and not {swap.folder}; "
            "run 'dreamloop publish'."
        )
    old = [name for name in client.adapters() if name.startswith(f"{swap.alias}-") and name != swap.name]
    _drain(client, old, drain_s)
    for name in old:
        client.unload_adapter(name)


def _drain(client: VllmClient, names: Sequence[str], patience_s: float) -> None:
    """Wait until nobody is being answered by the names. Files stay on disk, so the last ones may end later."""
    until = time.monotonic() + patience_s
    while client.busy() & set(names) and time.monotonic() < until:
        time.sleep(0.2)


def _row(witness: Witness) -> Row:
    return Row(witness.context, (Branch(witness.tokens, (True,) * len(witness.tokens)),))
