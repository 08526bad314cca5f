"""dreamloop: a local language model that gets a little better every night, and never worse.

    logs ─ collect ─▶ pairs ┐
                            ├─ finetune ─▶ candidate ─ gate ─▶ verdict ─ keep ─▶ current adapter
     dream ─▶ scenarios ────┘        ▲                            │
                                     └── replay (general data)    └─ revert: yesterday's stays
                          everything that happened ─▶ ledger ─▶ morning report

``cycle.py`` is the pipeline, top to bottom. Imports run downward only:
cli → cycle → {collect dream finetune gate keep ledger} → model → {config paths prompts log}
→ {records errors}. Importing this package imports nothing heavy.
"""

__version__ = "0.1.0"
