"""All nights in a table, and what the next one would do."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from dreamloop.ledger.history import Row
from dreamloop.records import Plan
from dreamloop.report.printing import coloured


def history_table(nights: list[Row]) -> RenderableType:
    """One line a night, newest first."""
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for name in ("night", "started (UTC)", "outcome", "trained on", "seconds", "why"):
        table.add_column(name, justify="right" if name in {"night", "trained on", "seconds"} else "left")
    for night in nights:
        table.add_row(
            str(night["night"]), night["started_at"][:16].replace("T", " "), coloured(night["outcome"]),
            str(night["trained"]), f"{night['seconds'] or 0:.0f}", Text(night["reason"] or "", overflow="ellipsis"),
        )  # fmt: skip
    return table


def plan_screen(tonight: Plan) -> RenderableType:
    """What tonight would do, a line for every choice with its sentence."""
    table = Table(title="Tonight", title_style="bold", title_justify="left", box=None, padding=(0, 2, 0, 0),
                  header_style="dim")  # fmt: skip
    for name in ("knob", "tonight", "why"):
        table.add_column(name, no_wrap=name == "knob", overflow="fold")
    for choice in tonight.choices:
        table.add_row(choice.knob, choice.value, choice.why)
    return table
