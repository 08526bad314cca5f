"""The ledger's tables, as numbered migrations. Never change one that was released; add the next.

Every table is append-only: triggers refuse UPDATE and DELETE. What ends
later than it began (a night, a rewrite) is a row in a second table.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlite_utils import Migrations
from sqlite_utils.db import Database

migrations = Migrations("dreamloop")

_TABLES = """
CREATE TABLE nights (
    night INTEGER PRIMARY KEY, started_at TEXT NOT NULL, seed INTEGER NOT NULL, config TEXT NOT NULL,
    versions TEXT NOT NULL, model TEXT NOT NULL
);
CREATE TABLE models (
    night INTEGER PRIMARY KEY REFERENCES nights, digest TEXT NOT NULL, device TEXT NOT NULL, dtype TEXT NOT NULL,
    incumbent INTEGER, exactness REAL NOT NULL
);
CREATE TABLE endings (
    night INTEGER PRIMARY KEY REFERENCES nights, ended_at TEXT NOT NULL, outcome TEXT NOT NULL
        CHECK (outcome IN ('kept', 'reverted', 'inconclusive', 'nothing to learn', 'failed', 'interrupted')),
    reason TEXT NOT NULL, generation INTEGER
);
CREATE TABLE stages (
    night INTEGER NOT NULL REFERENCES nights, stage TEXT NOT NULL, seconds REAL NOT NULL, PRIMARY KEY (night, stage)
);
CREATE TABLE reads (
    night INTEGER NOT NULL REFERENCES nights, path TEXT NOT NULL, format TEXT NOT NULL, start INTEGER NOT NULL,
    conversations INTEGER NOT NULL, exchanges INTEGER NOT NULL, offset INTEGER, tail_digest TEXT,
    PRIMARY KEY (night, path)
);
CREATE TABLE skips (
    night INTEGER NOT NULL REFERENCES nights, stage TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL
);
CREATE TABLE pairs (
    digest TEXT PRIMARY KEY, night INTEGER NOT NULL REFERENCES nights, context TEXT NOT NULL, chosen TEXT NOT NULL,
    rejected TEXT NOT NULL, source TEXT NOT NULL, conversation TEXT NOT NULL, turn INTEGER NOT NULL,
    signal TEXT NOT NULL, strength TEXT NOT NULL
);
CREATE TABLE corrections (
    digest TEXT PRIMARY KEY, night INTEGER NOT NULL REFERENCES nights, context TEXT NOT NULL, rejected TEXT NOT NULL,
    correction TEXT NOT NULL, source TEXT NOT NULL, conversation TEXT NOT NULL, turn INTEGER NOT NULL,
    signal TEXT NOT NULL, strength TEXT NOT NULL
);
CREATE TABLE rewrites (
    correction TEXT PRIMARY KEY REFERENCES corrections, night INTEGER NOT NULL REFERENCES nights,
    outcome TEXT NOT NULL, pair TEXT REFERENCES pairs
);
CREATE TABLE scenarios (
    digest TEXT PRIMARY KEY, night INTEGER NOT NULL REFERENCES nights, twin TEXT NOT NULL, kind TEXT NOT NULL,
    side TEXT NOT NULL, use TEXT NOT NULL CHECK (use IN ('training', 'lesson')),
    context TEXT NOT NULL, accept TEXT NOT NULL, push_back TEXT NOT NULL, truth TEXT NOT NULL
);
CREATE TABLE signatures (twin TEXT PRIMARY KEY, night INTEGER NOT NULL REFERENCES nights, minhash BLOB NOT NULL);
CREATE TABLE replays (
    night INTEGER NOT NULL REFERENCES nights, digest TEXT NOT NULL, context TEXT NOT NULL, reply TEXT NOT NULL,
    source TEXT NOT NULL, PRIMARY KEY (night, digest)
);
CREATE TABLE gate_items (digest TEXT PRIMARY KEY, suite TEXT NOT NULL);
CREATE TABLE trained (
    digest TEXT NOT NULL, night INTEGER NOT NULL REFERENCES nights, PRIMARY KEY (night, digest)
);
CREATE TABLE trained_texts (
    digest TEXT NOT NULL, night INTEGER NOT NULL REFERENCES nights, PRIMARY KEY (night, digest)
);
CREATE TABLE set_aside (digest TEXT PRIMARY KEY, night INTEGER NOT NULL REFERENCES nights, reason TEXT NOT NULL);
CREATE TABLE trainings (night INTEGER PRIMARY KEY REFERENCES nights, recipe TEXT NOT NULL, report TEXT);
CREATE TABLE measures (
    night INTEGER NOT NULL REFERENCES nights, suite TEXT NOT NULL, name TEXT NOT NULL, unit TEXT NOT NULL,
    incumbent REAL, candidate REAL, change REAL, low REAL, high REAL, margin REAL NOT NULL,
    items INTEGER NOT NULL, clusters INTEGER NOT NULL,
    census INTEGER NOT NULL, PRIMARY KEY (night, name)
);
CREATE TABLE evidence (
    night INTEGER NOT NULL REFERENCES nights, measure TEXT NOT NULL, item TEXT NOT NULL, cluster TEXT NOT NULL,
    incumbent REAL, candidate REAL, PRIMARY KEY (night, measure, item)
);
CREATE TABLE verdicts (night INTEGER PRIMARY KEY REFERENCES nights, outcome TEXT NOT NULL, reasons TEXT NOT NULL);
CREATE TABLE pointers (
    moved_at TEXT NOT NULL, generation INTEGER, was INTEGER, why TEXT NOT NULL
);
CREATE VIEW history AS
    SELECT nights.night, started_at, ended_at, coalesce(outcome, 'running') AS outcome, reason, generation, model,
        (SELECT count(*) FROM trained WHERE trained.night = nights.night) AS trained,
        (SELECT round(sum(seconds), 1) FROM stages WHERE stages.night = nights.night) AS seconds
    FROM nights LEFT JOIN endings USING (night);
CREATE TRIGGER trained_is_not_gate BEFORE INSERT ON trained_texts
    WHEN EXISTS (SELECT 1 FROM gate_items WHERE gate_items.digest = NEW.digest)
    BEGIN SELECT RAISE(ABORT, 'a training item is a gate item'); END;
"""


@migrations()
def first_tables(db: Database) -> None:
    """All tables of the first release."""
    for statement in _statements(_TABLES):
        db.execute(statement)
    for table in db.table_names():
        if not table.startswith("_"):
            _append_only(db, table)


@migrations()
def proofs(db: Database) -> None:
    """What a server showed of a generation before people were let at it."""
    db.execute(
        """CREATE TABLE proofs (
            proved_at TEXT NOT NULL, generation INTEGER NOT NULL, server TEXT NOT NULL, passed INTEGER NOT NULL,
            reason TEXT NOT NULL, share REAL, share_error REAL, share_of_all REAL, share_of_all_error REAL,
            base_off REAL, base_leak REAL
        )"""
    )
    _append_only(db, "proofs")


_STEP = (
    "phase", "loss", "sft", "replay", "dpo", "guard", "anchor", "accuracy", "chosen", "rejected", "margin",
    "chosen_change", "entropy", "grad_norm", "behaviour_grad_norm", "replay_grad_norm", "clipped", "learning_rate",
    "update_norm", "drift", "rows", "replay_rows", "tokens", "replay_tokens", "packing", "seconds", "tokens_per_s",
)  # fmt: skip


@migrations()
def steps(db: Database) -> None:
    """Every optimizer step of every night as a row, read out of the reports."""
    _steps_view(db, _STEP)


_TRIALS = """
ALTER TABLE measures RENAME TO old_measures;
ALTER TABLE evidence RENAME TO old_evidence;
CREATE TABLE trials (
    night INTEGER NOT NULL REFERENCES nights, attempt INTEGER NOT NULL, scale REAL NOT NULL, suite TEXT NOT NULL,
    outcome TEXT NOT NULL, reasons TEXT NOT NULL, PRIMARY KEY (night, attempt)
);
CREATE TABLE measures (
    night INTEGER NOT NULL REFERENCES nights, attempt INTEGER NOT NULL, name TEXT NOT NULL, unit TEXT NOT NULL,
    base REAL, incumbent REAL, candidate REAL, change REAL, low REAL, high REAL, margin REAL NOT NULL,
    base_change REAL, base_low REAL, base_high REAL, base_margin REAL,
    items INTEGER NOT NULL, clusters INTEGER NOT NULL, census INTEGER NOT NULL, informative INTEGER NOT NULL,
    PRIMARY KEY (night, attempt, name)
);
CREATE TABLE evidence (
    night INTEGER NOT NULL REFERENCES nights, attempt INTEGER NOT NULL, channel TEXT NOT NULL, item TEXT NOT NULL,
    cluster TEXT NOT NULL, base REAL, incumbent REAL, candidate REAL, PRIMARY KEY (night, attempt, channel, item)
);
CREATE TABLE suite_scores (key TEXT PRIMARY KEY, night INTEGER NOT NULL REFERENCES nights, scores TEXT NOT NULL);
INSERT INTO measures SELECT night, 0, name, unit, NULL, incumbent, candidate, change, low, high, margin,
    NULL, NULL, NULL, NULL, items, clusters, census, 0 FROM old_measures;
INSERT INTO evidence SELECT night, 0, measure, item, cluster, NULL, incumbent, candidate FROM old_evidence;
INSERT INTO trials SELECT DISTINCT night, 0, 1.0, suite, outcome, reasons FROM old_measures JOIN verdicts USING (night);
DROP TABLE old_measures;
DROP TABLE old_evidence;
"""


@migrations()
def trials(db: Database) -> None:
    """A candidate may be judged more than once, smaller each time, and against the base too.

    In nights from before, a measure's evidence stands under the measure's name.
    """
    for statement in _statements(_TRIALS):
        db.execute(statement)
    for table in ("trials", "measures", "evidence", "suite_scores"):
        _append_only(db, table)


_DREAMS = """
ALTER TABLE scenarios ADD COLUMN template TEXT NOT NULL DEFAULT '';
ALTER TABLE scenarios ADD COLUMN claim TEXT NOT NULL DEFAULT '';
ALTER TABLE scenarios ADD COLUMN axes TEXT NOT NULL DEFAULT '[]';
ALTER TABLE scenarios ADD COLUMN strength TEXT NOT NULL DEFAULT 'strong';
ALTER TABLE scenarios ADD COLUMN worded_by TEXT NOT NULL DEFAULT 'grammar';
ALTER TABLE scenarios ADD COLUMN replies_by TEXT NOT NULL DEFAULT 'grammar';
CREATE INDEX scenarios_by_night ON scenarios (night);
CREATE TABLE coverage (
    night INTEGER NOT NULL REFERENCES nights, axis TEXT NOT NULL, value TEXT NOT NULL, count INTEGER NOT NULL
);
CREATE TABLE taken_up (
    twin TEXT NOT NULL, night INTEGER NOT NULL REFERENCES nights, PRIMARY KEY (twin, night)
);
CREATE TABLE diversity (
    night INTEGER PRIMARY KEY REFERENCES nights, twins INTEGER NOT NULL, words INTEGER NOT NULL,
    distinct_1 REAL NOT NULL, distinct_2 REAL NOT NULL, distinct_3 REAL NOT NULL, entropy REAL NOT NULL,
    covered REAL NOT NULL, refused REAL NOT NULL, told TEXT NOT NULL
);
INSERT INTO coverage SELECT night, 'kind', kind, count(*) / 2 FROM scenarios GROUP BY night, kind;
DROP TABLE signatures;
"""


@migrations()
def dreams(db: Database) -> None:
    """What a scenario was made of, and how varied the nights are.

    Signatures are gone: what must not come again is found by an index in a file of its own, made from the scenarios.
    """
    for statement in _statements(_DREAMS):
        db.execute(statement)
    for table in ("coverage", "taken_up", "diversity"):
        _append_only(db, table)


_PLANS = """
CREATE TABLE plans (night INTEGER PRIMARY KEY REFERENCES nights, plan TEXT NOT NULL);
CREATE TABLE go_aheads (at TEXT NOT NULL, night INTEGER NOT NULL REFERENCES nights);
"""


@migrations()
def plans(db: Database) -> None:
    """What each night meant to do and why, and after which nights somebody let it go on."""
    for statement in _statements(_PLANS):
        db.execute(statement)
    for table in ("plans", "go_aheads"):
        _append_only(db, table)


_SURVEYS = """
CREATE TABLE surveys (
    digest TEXT NOT NULL, kind TEXT NOT NULL, night INTEGER NOT NULL REFERENCES nights, twins INTEGER NOT NULL,
    plain INTEGER NOT NULL, shown INTEGER NOT NULL, known INTEGER NOT NULL, PRIMARY KEY (digest, kind)
);
"""


@migrations()
def surveys(db: Database) -> None:
    """What a base model could be taught, by kind."""
    for statement in _statements(_SURVEYS):
        db.execute(statement)
    _append_only(db, "surveys")


_COLUMNS = """digest, night, twin, kind, side, use, context, accept, push_back, truth, template, claim, axes, strength,
    worded_by, replies_by"""
_BYSTANDERS = f"""
ALTER TABLE scenarios RENAME TO old_scenarios;
CREATE TABLE scenarios (
    digest TEXT PRIMARY KEY, night INTEGER NOT NULL REFERENCES nights, twin TEXT NOT NULL, kind TEXT NOT NULL,
    side TEXT NOT NULL, use TEXT NOT NULL CHECK (use IN ('training', 'lesson', 'bystander')),
    context TEXT NOT NULL, accept TEXT NOT NULL, push_back TEXT NOT NULL, truth TEXT NOT NULL,
    template TEXT NOT NULL, claim TEXT NOT NULL, axes TEXT NOT NULL, strength TEXT NOT NULL, worded_by TEXT NOT NULL,
    replies_by TEXT NOT NULL
);
INSERT INTO scenarios (rowid, {_COLUMNS}) SELECT rowid, {_COLUMNS} FROM old_scenarios;
DROP TABLE old_scenarios;
CREATE INDEX scenarios_by_night ON scenarios (night);
DROP VIEW steps;
"""  # noqa: S608 - the constant above


@migrations()
def bystanders(db: Database) -> None:
    """Scenarios whose replies are only held, and how far they shifted in each step.

    Row numbers stay, because the novelty index goes by them.
    """
    for statement in _statements(_BYSTANDERS):
        db.execute(statement)
    _append_only(db, "scenarios")
    _steps_view(db, (*_STEP, "shift"))


_HELD = """
CREATE TABLE held (
    night INTEGER NOT NULL REFERENCES nights, twin TEXT NOT NULL, accept TEXT NOT NULL, push_back TEXT NOT NULL
);
CREATE INDEX held_by_night ON held (night);
"""


@migrations()
def held(db: Database) -> None:
    """The replies that bystanders were held by, their own and those that books lent."""
    for statement in _statements(_HELD):
        db.execute(statement)
    _append_only(db, "held")


def _steps_view(db: Database, names: Sequence[str]) -> None:
    columns = ", ".join(f"json_extract(step.value, '$.{name}') AS {name}" for name in names)
    db.execute(
        f"CREATE VIEW steps AS SELECT night, step.key AS step, {columns} "  # noqa: S608 - names from above
        "FROM trainings, json_each(trainings.report, '$.steps') AS step"
    )


def _append_only(db: Database, table: str) -> None:
    for action in ("UPDATE", "DELETE"):
        db.execute(
            f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
            "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
        )


def _statements(script: str) -> list[str]:
    """Split at semicolons that end a statement; a trigger's inner one is followed by END."""
    import sqlite3  # noqa: PLC0415 - only migrations need to know where a statement ends

    statements, current = [], ""
    for line in script.splitlines():
        current += line + "\n"
        if sqlite3.complete_statement(current):
            statements.append(current.strip())
            current = ""
    return statements
