"""Where things stand: what serves, how the nights went, what waits to be learned."""

from __future__ import annotations

from dataclasses import dataclass

from dreamloop.errors import StateError
from dreamloop.keep import generations
from dreamloop.ledger.history import History, Row
from dreamloop.lock import is_held
from dreamloop.memory import read_memory
from dreamloop.paths import Home


@dataclass(frozen=True, slots=True)
class Status:
    """One home at one moment.

    Attributes:
        generation: the one that serves; None is the base model.
        damage: what is wrong with it, in a sentence; None when its weights are those that were kept.
        nights: how many nights ended how.
        pending_pairs: mined pairs that no night has trained on.
        last_night: the latest row of the ledger's history.
        served: the latest proof that a server gave, as the ledger has it; None where there was none.
        dreams: what the latest night said of how varied dreams are; nothing as long as all is well.
        daemon: whether a daemon runs; next_night, failures and said are what it last noted.
    """

    home: str
    generation: int | None
    damage: str | None
    nights: dict[str, int]
    pending_pairs: int
    last_night: Row | None
    served: Row | None
    dreams: list[str]
    daemon: bool
    next_night: str | None
    failures: int
    said: str


def read_status(home: Home) -> Status:
    """Look at the pointer, the generation's weights and the ledger.

    Raises:
        StateError: nothing ever ran here, or the ledger cannot be read.
    """
    waiting = home.daemon_note.exists() and not home.ledger.exists()  # a daemon before its first night
    ledger = None if waiting else History(home.ledger, home.lock)
    last = ledger.nights(1) if ledger else []
    memory = read_memory(home.daemon_note)
    return Status(
        home=str(home.root),
        generation=generations.pointed(home),
        damage=_damage(home),
        nights=ledger.count() if ledger else {},
        pending_pairs=ledger.pending() if ledger else 0,
        last_night=last[0] if last else None,
        served=ledger.last_proof() if ledger else None,
        dreams=_told(ledger),
        daemon=is_held(home.daemon_lock),
        next_night=memory.next_at,
        failures=memory.failures,
        said=memory.said,
    )


def status_lines(status: Status) -> list[str]:
    """The same for a person."""
    serving = f"generation {status.generation}" if status.generation else "the base model"
    counts = ", ".join(f"{n} {outcome}" for outcome, n in status.nights.items()) or "none yet"
    lines = [f"serving   {serving}"]
    if status.damage:
        lines.append(f"damaged   {status.damage}")
    lines += [f"nights    {counts}", f"waiting   mined pairs: {status.pending_pairs}"]
    if last := status.last_night:
        lines.append(f"last      night {last['night']}: {last['outcome']}. {last['reason'] or ''}".rstrip())
    if served := status.served:
        how = "proven" if served["passed"] else "refused"
        then = "" if served["generation"] == status.generation else " It is not what serves now."
        lines.append(
            f"server    generation {served['generation']} {how} at {served['server']} on {served['proved_at'][:10]}."
            f" {served['reason']}{then}"
        )
    lines += [f"dreams    {sentence}" for sentence in status.dreams]
    return [*lines, f"daemon    {_daemon(status)}", f"home      {status.home}"]


def _daemon(status: Status) -> str:
    if not status.daemon:
        return "not running"
    failed = f" {status.failures} failed in a row." if status.failures else ""
    return f"next night {(status.next_night or 'not known')[:16].replace('T', ' ')}. {status.said}{failed}".rstrip()


def _told(ledger: History | None) -> list[str]:
    latest = ledger.last_diversity() if ledger else None
    return list(latest["told"]) if latest else []


def _damage(home: Home) -> str | None:
    try:
        generations.current(home)
    except StateError as error:
        return str(error)
    return None
