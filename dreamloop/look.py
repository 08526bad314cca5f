"""A look at what serves now: the gate's measures of the current generation against the base, outside of any night.

Nothing is written and nothing is decided. A quick look asks a small part of the items.
"""

from __future__ import annotations

from dataclasses import dataclass

from dreamloop.config import Config
from dreamloop.gate.distance import weights_moved
from dreamloop.gate.gauges import Items, expected, gauges
from dreamloop.gate.measures import Margins, Trio, compare
from dreamloop.gate.reading import load_suite
from dreamloop.gate.scores import score_suite
from dreamloop.gate.verdict import decide
from dreamloop.keep import generations
from dreamloop.log import Progress
from dreamloop.model.wake import wake
from dreamloop.paths import Home
from dreamloop.records import Measure, Verdict


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen. ``generation`` is what serves, None for the base, which is then compared with itself."""

    generation: int | None
    measures: tuple[Measure, ...]
    verdict: Verdict


def look(home: Home, config: Config, quick: bool, progress: Progress) -> Look:
    """Measure the serving generation against the base.

    Args:
        home: whose `current` is looked at.
        config: names the model and the margins.
        quick: ask a part of the items; intervals are wider, so more of them are open.
        progress: where to show long steps.

    Raises:
        ConfigError: the gate's items cannot be read.
        ModelError: the model or the generation cannot be loaded.
        StateError: `current` is damaged.
    """
    suite = load_suite(config.gate.items, config.gate.shipped)
    items = Items(suite.quick() if quick else suite)
    incumbent = generations.current(home)
    model = wake(config, home.models, incumbent, incumbent, config.seed, progress)
    base = score_suite(model.policy, model.encoder, items.suite, None, progress)
    own = score_suite(model.policy, model.encoder, items.suite, model.serving, progress) if model.serving else base
    asked = gauges(items.suite)
    margins = Margins(config.gate.since_base.model_dump(), config.gate.since_base.model_dump(), config.gate.confidence)
    measures = [
        *compare(asked, Trio(base, base, own), margins),
        weights_moved(model.policy, model.serving, None, margins),
    ]
    faults = dict.fromkeys((*base.faults.values(), *own.faults.values()))
    verdict = decide(measures, expected(asked), faults)
    return Look(incumbent.number if incumbent else None, tuple(measures), verdict)
