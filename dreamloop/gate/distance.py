"""How far the weights moved: the one measure that asks the model nothing.

No single number of it is good or bad, but a night that moves the model several times as far as such a night does, or
nights that together went further from the base than anybody looked, are stopped here even where no item noticed.
"""

from __future__ import annotations

from dreamloop.gate.measures import Margins
from dreamloop.model.policy import Adapter, Policy
from dreamloop.records import Change, Measure

NAME = "geometry.weights"
FAMILY = "weights"


def weights_moved(policy: Policy, candidate: Adapter | None, incumbent: Adapter | None, margins: Margins) -> Measure:
    """‖Δθ‖ / ‖θ‖ from the base to all three, and from the incumbent to the candidate; None is the base itself."""
    tonight = policy.distance(candidate, incumbent) if candidate else 0.0
    before, after = (policy.distance(who, None) if who else 0.0 for who in (incumbent, candidate))
    return Measure(
        NAME, "", 0.0, before, after,
        tonight=Change.known(-tonight, margins.tonight[FAMILY]),
        since_base=Change.known(-after, margins.since_base[FAMILY]),
        items=1, clusters=1, census=True,
    )  # fmt: skip
