"""How things are printed."""

from __future__ import annotations

from rich.console import Console

from dreamloop.report.printing import section


def test_a_line_that_does_not_fit_goes_on_below_further_in() -> None:
    console = Console(width=20)
    with console.capture() as said:
        console.print(section("Planned", ["tonight train: there is more", "short"]))
    assert said.get().splitlines() == ["Planned", "  tonight train:", "    there is more", "  short", ""]


def test_words_in_brackets_are_words_and_no_colours() -> None:
    console = Console(width=40)
    with console.capture() as said:
        console.print(section("Dreamed", ["a [red]word[/red]"]))
    assert "  a [red]word[/red]" in said.get()
