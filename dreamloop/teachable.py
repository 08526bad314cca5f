"""Whether the base has anything in a kind of scenario that a night could teach: asked once for each of both."""

from __future__ import annotations

from dreamloop.dreaming import Dreaming, provable_kinds
from dreamloop.errors import ConfigError
from dreamloop.gate.reading import load_suite
from dreamloop.gate.survey import survey
from dreamloop.material import dreaming_of
from dreamloop.model.device import free_memory
from dreamloop.model.wake import Model, wake
from dreamloop.night import Night


def ask_the_base(night: Night, base: str) -> str:
    """The digest of a base that nobody had asked under this name what it can be taught, and now somebody has.

    Before anything is planned for it, or for kinds that were not configured then. The model is gone again when this
    returns: the engine that writes may need the room. Empty where there was nothing to ask.
    """
    knobs, asked = night.config.adapt, {one.kind for one in night.ledger.potentials(base)}
    if not (knobs.enabled and knobs.survey_twins) or (asked and asked.issuperset(provable_kinds(night.config))):
        return ""
    try:
        suite = load_suite(night.config.gate.items, night.config.gate.shipped)
    except ConfigError:  # the night ends with this, a little later
        return ""
    with night.stage("load the base"):
        model = wake(night.config, night.home.models, None, None, night.seed, night.progress)
    survey_base(night, model, dreaming_of(night, suite))
    digest = model.policy.digest
    del model
    free_memory()
    return digest


def survey_base(night: Night, model: Model, dreams: Dreaming) -> None:
    """Once for each base and kind: is there anything in it that could be taught?"""
    each, digest = night.config.adapt.survey_twins, model.policy.digest
    known = {one.kind for one in night.ledger.potentials(digest)}
    kinds = [kind for kind in provable_kinds(night.config) if kind not in known]
    if not (night.config.adapt.enabled and each and kinds):
        return
    with night.stage("survey"):
        found = survey(model.policy, model.encoder, dreams.survey(kinds, each), night.progress)
        night.ledger.record_survey(night.number, digest, found)
