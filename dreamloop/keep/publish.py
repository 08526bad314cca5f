"""A kept generation into the serving vLLM: load, prove, then let the stable alias point to it.

The new adapter comes under a name and a path of its own, so that no cache can answer for it, and people
keep talking to the old one until the proof has passed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dreamloop.errors import EngineError, SwapRefused
from dreamloop.keep.proof import judge_swap, refused
from dreamloop.log import Progress
from dreamloop.model.encode import Branch, Row, Tokens
from dreamloop.model.vllm_client import VllmClient
from dreamloop.records import Proof, Scores, ServedScores, Witnesses


@dataclass(frozen=True, slots=True)
class Swap:
    """What goes where: the generation's folder under ``name``, then under ``alias``; ``base`` is the base's name."""

    base: str
    name: str
    alias: str
    folder: Path


def prove(client: VllmClient, swap: Swap, witnesses: Witnesses, tolerance: float, progress: Progress) -> Proof:
    """Load the adapter under its own name and ask the server for the witnesses, one at a time.

    A server that fails the proof no longer serves the name afterwards. One that refuses the adapter or
    cannot answer with it, but answers with its base, fails the proof.

    Raises:
        EngineError: the server cannot be reached or asked; nothing is known of the adapter.
    """
    total = 3 * len(witnesses.rows) + 1
    with progress.track("proving the swap", total, "prompts") as advance:

        def scores(model: str, rows: Sequence[Row]) -> tuple[Scores, ...]:
            found = []
            for row in rows:
                found.append(tuple(client.reply_logprobs(model, row)))
                advance(1)
            return tuple(found)

        rows = [_row(witness.context, witness.tokens) for witness in witnesses.rows]
        before = scores(swap.base, rows)
        try:
            client.load_adapter(swap.name, swap.folder)
            adapter = scores(swap.name, rows)
            (long_prompt,) = scores(swap.name, [_row(witnesses.long_prompt[:1], witnesses.long_prompt[1:])])
            after = scores(swap.base, rows)
        except EngineError as error:
            _forget(client, swap.name)
            client.reply_logprobs(swap.base, rows[0])  # a server that is gone says nothing about the adapter
            return refused(str(error))
    proof = judge_swap(witnesses, ServedScores(before, adapter, after, long_prompt), tolerance)
    if not proof.passed:
        _forget(client, swap.name)
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
    old = [name for name in ours(client, swap.alias) if name not in {swap.name, swap.alias}]
    _drain(client, old, drain_s)
    for name in old:
        client.unload_adapter(name)


def ours(client: VllmClient, alias: str) -> list[str]:
    """The adapters on the server that dreamloop put there: the alias and numbered generations, nobody else's."""
    return [name for name in client.adapters() if re.fullmatch(rf"{re.escape(alias)}(-\d{{6}})?", name)]


def _drain(client: VllmClient, names: Sequence[str], patience_s: float) -> None:
    """Wait until nobody is being answered under the names.

    What the alias had begun goes on with the old weights, which the server keeps for it.
    """
    until = time.monotonic() + patience_s
    while client.busy() & set(names) and time.monotonic() < until:
        time.sleep(0.2)


def _forget(client: VllmClient, name: str) -> None:
    """Unload what failed its proof. The verdict stands whether the server manages that or not."""
    with suppress(EngineError):
        client.unload_adapter(name)


def _row(context: Tokens, tokens: Tokens) -> Row:
    return Row(context, (Branch(tokens, (True,) * len(tokens)),))
