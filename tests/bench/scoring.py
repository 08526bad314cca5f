"""What the gate asks of a model, without letting it write: what every contestant and every dose is measured by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dreamloop.gate.capability import coherence, score_choices
from dreamloop.gate.gauges import Items
from dreamloop.gate.geometry import score_geometry
from dreamloop.gate.perplexity import score_documents
from dreamloop.gate.probes import score_probes
from dreamloop.gate.scores import Scored
from dreamloop.gate.statistics import auc
from dreamloop.gate.suite import Probe
from dreamloop.log import Silent
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.policy import Adapter, Policy


def scored(policy: Policy, encoder: ChatEncoder, items: Items, who: Adapter | None) -> Scored:
    """What the gate asks without letting the model write."""
    suite, quiet, name = items.suite, Silent(), who or "base"
    choices = [*suite.choices, *coherence(suite.documents)]
    with policy.using(who):
        return Scored({
            **score_documents(policy, encoder, suite.documents, quiet, name),
            "probes": score_probes(policy, encoder, suite.probes, quiet, name),
            "lessons": score_probes(policy, encoder, items.lessons, quiet, name),
            "capability": score_choices(policy, encoder, choices, quiet, name),
            **score_geometry(policy, encoder, suite.personas, suite.questions, quiet, name),
        })  # fmt: skip


def by_kind(probes: Sequence[Probe], scores: Mapping[str, float]) -> dict[str, float]:
    """The area under the curve between wrong and right sides, within each kind."""
    found: dict[str, float] = {}
    for kind in sorted({probe.kind for probe in probes}):
        wrong, right = (
            np.array([scores[probe.item] for probe in probes if probe.kind == kind and probe.side == side])
            for side in ("wrong", "right")
        )
        found[kind] = round(auc(wrong, right), 4)
    return found
