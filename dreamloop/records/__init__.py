"""The words of the house: frozen records that cross a stage line. No dict and no bare tuple does.

Every record is plain data that SQLite and JSON can hold; none imports anything heavy. One file for each stage.
"""

from dreamloop.records.collected import (
    Answer,
    Collected,
    Correction,
    Cursor,
    Exchange,
    Pair,
    Provenance,
    Skip,
    SourceRead,
    Strength,
    Written,
)
from dreamloop.records.conversation import Context, Message, Reply, Role, digest_of, flatten
from dreamloop.records.dreamed import Axis, Diversity, Dreamed, Hand, Scenario, Side, Tally, Twins, Use
from dreamloop.records.judged import Change, Evidence, Measure, Outcome, Trial, Verdict
from dreamloop.records.kept import Generation, Proof, Scores, ServedScores, Witness, Witnesses
from dreamloop.records.planned import Act, Choice, Dose, KindShown, PastNight, Plan, Potential, Standing
from dreamloop.records.trained import ChatRow, Recipe, ReplayShare, Step, StepReport

__all__ = [
    "Act",
    "Answer",
    "Axis",
    "Change",
    "ChatRow",
    "Choice",
    "Collected",
    "Context",
    "Correction",
    "Cursor",
    "Diversity",
    "Dose",
    "Dreamed",
    "Evidence",
    "Exchange",
    "Generation",
    "Hand",
    "KindShown",
    "Measure",
    "Message",
    "Outcome",
    "Pair",
    "PastNight",
    "Plan",
    "Potential",
    "Proof",
    "Provenance",
    "Recipe",
    "ReplayShare",
    "Reply",
    "Role",
    "Scenario",
    "Scores",
    "ServedScores",
    "Side",
    "Skip",
    "SourceRead",
    "Standing",
    "Step",
    "StepReport",
    "Strength",
    "Tally",
    "Trial",
    "Twins",
    "Use",
    "Verdict",
    "Witness",
    "Witnesses",
    "Written",
    "digest_of",
    "flatten",
]
