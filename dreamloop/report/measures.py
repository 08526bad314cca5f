"""What a gate measured, as a table: of a night, or of what serves outside of any."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from dreamloop.ledger.history import Row
from dreamloop.records import Measure, Verdict

# The measures that are always shown; others are shown where they do not hold.
_USUAL = (
    "perplexity.prose", "perplexity.code", "perplexity.chat", "perplexity.technical", "probes.push_back_rate",
    "probes.accept_rate", "probes.discrimination", "probes.auc", "capability.arithmetic", "capability.code",
    "capability.instructions", "answers.finished", "geometry.collapse", "lessons.discrimination",
    "taught.discrimination", "taught.bias",
)  # fmt: skip

_NO_MATTER, _HOLDS, _OPEN, _WORSE = "·", "✓", "?", "✗"
_STYLES = {_NO_MATTER: "dim", _HOLDS: "green", _OPEN: "yellow", _WORSE: "red"}


def gate_table(measures: list[Row], confidence: float, every_measure: bool) -> RenderableType:
    """Tonight against yesterday and the base: the usual measures, and those that do not hold."""
    shown = [row for row in measures if every_measure or row["name"] in _USUAL or _mark(row) in {_OPEN, _WORSE}]
    table = Table(title="Gate: base, yesterday's model and tonight's on the same held-out items", title_style="bold",
                  title_justify="left", box=None, padding=(0, 1), header_style="dim")  # fmt: skip
    table.add_column("measure", no_wrap=True)
    for name in ("base", "before", "after", f"tonight, {confidence:.0%}", "may lose", "since base", "may lose", ""):
        table.add_column(name, justify="right")
    for row in shown:
        table.add_row(
            row["name"], "" if row["base_margin"] is None else _number(row["base"], 3), _number(row["incumbent"], 3),
            _number(row["candidate"], 3), f"{_signed(row['low'])} to {_signed(row['high'])}", f"{row['margin']:g}",
            *(("", "") if row["base_margin"] is None else (_signed(row["base_change"]), f"{row['base_margin']:g}")),
            Text(_mark(row), style=_STYLES[_mark(row)]),
        )  # fmt: skip
    hidden = len(measures) - len(shown)
    return Group(table, Text(f"  and {hidden} more, none beyond its margin\n", style="dim")) if hidden else table


def look_screen(
    generation: int | None, measures: Sequence[Measure], verdict: Verdict, confidence: float
) -> RenderableType:
    """What serves now against the base: every measure, and whether all nights together stay within their margins."""
    name = f"generation {generation}" if generation else "the base model"
    table = Table(title=f"Gate: {name} against the base, outside of any night", title_style="bold",
                  title_justify="left", box=None, padding=(0, 1), header_style="dim")  # fmt: skip
    table.add_column("measure", no_wrap=True)
    for title in ("base", "now", f"change, {confidence:.0%}", "may lose", "items", ""):
        table.add_column(title, justify="right")
    for measure in measures:
        change = measure.since_base
        mark = _NO_MATTER if measure.informative else _mark_of(change.low, change.high, change.margin)
        table.add_row(
            measure.name, _number(measure.base, 3),
            _number(measure.candidate, 3), f"{_signed(change.low)} to {_signed(change.high)}", f"{change.margin:g}",
            str(measure.items), Text(mark, style=_STYLES[mark]),
        )  # fmt: skip
    return Group(table, Panel("\n".join(verdict.reasons), title="In words", title_align="left"))


def _mark(row: Row) -> str:
    """Whether both changes hold; a night from before there was a comparison with the base has one."""
    if row["informative"]:
        return _NO_MATTER
    marks = [_mark_of(row["low"], row["high"], row["margin"])]
    if row["base_margin"] is not None:
        marks.append(_mark_of(row["base_low"], row["base_high"], row["base_margin"]))
    return max(marks, key=(_HOLDS, _OPEN, _WORSE).index)


def _mark_of(low: float | None, high: float | None, margin: float) -> str:
    if low is None or high is None or high < -margin:
        return _WORSE
    return _HOLDS if low >= -margin else _OPEN


def _number(value: float | None, digits: int) -> str:
    return "not finite" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None) -> str:
    return "not finite" if value is None else f"{value:+.4f}"
