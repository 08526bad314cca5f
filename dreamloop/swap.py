"""A generation offered to a server: shown to it, proven or refused, and noted in the ledger.

A night does this with what it kept; `dreamloop publish` repeats it after the server was started again,
or after a revert. People's requests go to one alias, which only ever moves to a proven generation.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from dreamloop.config import Config, Vllm
from dreamloop.errors import ConfigError, StateError, SwapRefused
from dreamloop.keep import generations
from dreamloop.keep.publish import Swap, go_live, ours, prove
from dreamloop.keep.witnesses import read_witnesses
from dreamloop.ledger.store import Ledger
from dreamloop.lock import only_one_night
from dreamloop.log import Progress
from dreamloop.model.engine import Session, connected, versioned
from dreamloop.paths import Home
from dreamloop.records import Generation, Proof


def swap_of(session: Session, knobs: Vllm, generation: Generation) -> Swap:
    """What goes where on this server."""
    name = versioned(knobs.alias, generation.number)
    return Swap(session.base, name, knobs.alias, Path(generation.path))


def offer(
    session: Session, knobs: Vllm, generation: Generation, ledger: Ledger, when: str, progress: Progress
) -> Proof:
    """Load a generation under its own name, prove it, and note the outcome; the alias does not move yet.

    Raises:
        EngineError: the server cannot be asked. StateError: the generation has no witnesses.
    """
    witnesses = read_witnesses(Path(generation.path))
    proof = prove(session.client, swap_of(session, knobs, generation), witnesses, knobs.base_tolerance, progress)
    ledger.record_proof(when, generation.number, session.client.address.url, proof)
    return proof


def publish(home: Home, config: Config, progress: Progress, now: Callable[[], datetime]) -> str:
    """Let the running server serve what ``current`` names; returns what it does now, in a sentence.

    Raises:
        ConfigError: no server is configured. SwapRefused: it does not serve what it was given.
        EngineError, StateError, NightBusy: as their sentences say.
    """
    if not config.vllm.url:
        raise ConfigError("There is no running server to publish to; set vllm.url in dreamloop.toml.")
    home.create()
    with only_one_night(home.lock):
        generation = generations.current(home)
        with connected(config, home, generation, progress) as session:
            if generation is None:
                return _base_serves(session, config.vllm)
            ledger = Ledger(home.ledger)
            try:
                proof = let_serve(session, config.vllm, generation, ledger, now().isoformat(), progress)
            finally:
                ledger.close()
    if not proof.passed:
        raise SwapRefused(
            f"Generation {generation.number} is not served, {config.vllm.alias!r} stays as it was. {proof.reason}"
        )
    return f"{config.vllm.alias!r} at {config.vllm.url} answers with generation {generation.number}. {proof.reason}"


def let_serve(
    session: Session, knobs: Vllm, generation: Generation, ledger: Ledger, when: str, progress: Progress
) -> Proof:
    """Offer a generation and, once it is proven, move the alias to it. Raises as ``offer`` does."""
    proof = offer(session, knobs, generation, ledger, when, progress)
    if proof.passed:
        go_live(session.client, swap_of(session, knobs, generation), knobs.drain_timeout_s)
    return proof


def prepare(
    session: Session, knobs: Vllm, incumbent: Generation | None, ledger: Ledger, when: str, progress: Progress
) -> None:
    """Before a night is spent: the server can take what it may keep, and serves what ``current`` names.

    It no longer does after it was started again, or after a crash between the pointer and the alias.

    Raises:
        ConfigError: it may not load adapters, so whatever the night learns could not be served.
        EngineError: the server cannot be asked.
    """
    if not session.client.takes_adapters():
        raise ConfigError(
            f"The server at {session.client.address.url} may not load adapters; start it with --enable-lora and "
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING=1, or set vllm.publish = false."
        )
    if incumbent is None:
        _base_serves(session, knobs)
    elif session.client.adapters().get(knobs.alias) != incumbent.path:
        with suppress(StateError, SwapRefused):  # it cannot be proven, which the night may well mend
            let_serve(session, knobs, incumbent, ledger, when, progress)


def _base_serves(session: Session, knobs: Vllm) -> str:
    for name in ours(session.client, knobs.alias):
        session.client.unload_adapter(name)
    return f"The base model serves; the server has no {knobs.alias!r} any more, ask it for {session.base!r}."
