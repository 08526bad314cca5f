"""Items that could measure nothing are refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dreamloop.errors import ConfigError
from dreamloop.gate.reading import load_suite
from dreamloop.gate.sound import unsound
from dreamloop.gate.suite import Suite

SUITE = load_suite()


def test_the_shipped_items_are_sound() -> None:
    assert unsound(SUITE) == ""


def spoilt(suite: Suite, of: str, **changes: object) -> Suite:
    """The suite with its first item of a sort changed."""
    first, *rest = getattr(suite, of)
    return replace(suite, **{of: (replace(first, **changes), *rest)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("of", "changes", "said"),
    [
        ("probes", {"replies": ()}, "has no replies"),
        ("probes", {"replies": (("Yes.", " "),)}, "an empty reply"),
        ("probes", {"replies": (("Yes.", "Yes. "),)}, "one text as both replies"),
        ("probes", {"context": SUITE.probes[1].context}, "word for word"),
        ("probes", {"item": SUITE.probes[1].item}, "is given twice"),
        ("choices", {"right": ""}, "an empty answer"),
        ("choices", {"wrong": SUITE.choices[0].right}, "one text as right and as wrong"),
        ("tasks", {"check": "most_words", "value": "three"}, "the check most_words cannot use ('three')"),
        ("tasks", {"check": "sentences", "value": True}, "the check sentences cannot use"),
        ("tasks", {"check": "contains", "value": (1, 2)}, "the check contains cannot use ((1, 2))"),
        ("tasks", {"check": "without", "value": ()}, "the check without cannot use"),
        ("tasks", {"check": "equals", "value": 5}, "the check equals cannot use"),
        ("documents", {"text": "", "turns": ()}, "is empty"),
    ],
)
def test_an_item_that_could_measure_nothing_is_named(of: str, changes: dict[str, object], said: str) -> None:
    fault = unsound(spoilt(SUITE, of, **changes))
    assert said in fault
    assert getattr(SUITE, of)[1 if "item" in changes else 0].item in fault


def test_a_kind_that_has_only_one_template_is_named() -> None:
    kind = SUITE.probes[0].kind
    probes = tuple(p for p in SUITE.probes if p.kind != kind or p.cluster == SUITE.probes[0].cluster)
    assert (
        unsound(replace(SUITE, probes=probes)) == f"the kind {kind!r} has one template only, and at least 2 are needed"
    )


def test_a_users_folder_with_such_an_item_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "prose.toml").write_text(
        '[[document]]\nname = "tide"\ntext = "The tide came in."\n[[document]]\nname = "tide"\ntext = "It went out."\n'
    )
    with pytest.raises(ConfigError, match=r"the name 'own/prose/tide' is given twice; mend"):
        load_suite(tmp_path)
