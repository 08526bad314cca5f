"""How things are printed in a terminal: lines under a title, the colour of an outcome, a width where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

COLOURS = {"kept": "green", "reverted": "red", "inconclusive": "yellow", "failed": "red", "running": "cyan"}


def show(renderable: RenderableType) -> None:
    """Print to standard output, 110 columns wide where there is no terminal."""
    console = Console()
    (console if console.is_terminal else Console(width=110)).print(renderable)


def coloured(outcome: str) -> Text:
    """How a night ended, in its colour."""
    return Text(outcome, style=f"bold {COLOURS.get(outcome, 'white')}")


@dataclass(frozen=True)
class Line:
    """One line of a section; what does not fit goes on below it, further in."""

    text: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Rich asks this of whatever is printed."""
        for k, part in enumerate(Text(self.text).wrap(console, options.max_width - 4)):
            part.rstrip()
            yield Text("    " if k else "  ").append_text(part)


def section(title: str, lines: Sequence[str]) -> RenderableType:
    """A title, its lines and an empty one."""
    return Group(Text(title, style="bold"), *map(Line, lines), "")
