"""Everything a night needs, looked at before the night: one finding a check, each fault with its mend."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from dreamloop.config_file import load_config
from dreamloop.doctor.finding import Finding, fault_of, good
from dreamloop.doctor.machine import device, disk, libraries, python
from dreamloop.doctor.place import permissions, schedule, state, units
from dreamloop.errors import DreamloopError
from dreamloop.paths import Home

__all__ = ["Finding", "examine"]


def examine(home: Home, config_path: Path | None, now: datetime) -> Iterator[Finding]:
    """Look at everything, cheapest first; changes nothing and fetches nothing.

    What a faulty check leaves meaningless is not looked at.

    Args:
        home: where the state is or would be. config_path: None looks at the defaults.
        now: the time, aware.
    """
    yield from (python(), disk(home), permissions(home), state(home), units(home))
    able = libraries()
    yield able
    try:
        config = load_config(config_path)
    except DreamloopError as error:
        yield fault_of("config", error)
        return
    yield good("config", str(config_path or "no dreamloop.toml, so every knob has its default"))
    yield schedule(home, config, now)
    if able.level == "fault":
        return
    yield device(config)
    from dreamloop.doctor.inputs import dreams, gate, model, optimizer, replay, sources, vllm  # noqa: PLC0415 - they need the libraries just checked

    yield model(config, home)
    yield sources(config)
    yield replay(config)
    yield dreams(config)
    yield gate(config)
    yield optimizer(config)
    yield vllm(config, home)
