from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamloop.errors import ConfigError
from dreamloop.paths import prompts_folder
from dreamloop.prompts import fill, load_phrases, load_prompt


@given(st.text())
def test_a_value_is_data_even_when_it_looks_like_a_placeholder(text: str) -> None:
    assert fill("<{claim}>", {"claim": text, "name": "never"}) == f"<{text}>"


def test_a_value_with_braces_is_not_filled_again() -> None:
    assert fill("{claim} {name}", {"claim": "{name}", "name": "Ada"}) == "{name} Ada"


def test_every_shipped_prompt_declares_its_placeholders() -> None:
    for path in prompts_folder().rglob("*.md"):
        load_phrases(path.parent, path.stem) if path.stem not in {"rewrite", "told"} else load_prompt(
            path.parent, path.stem
        )


def test_rendering_with_a_wrong_name_is_refused() -> None:
    prompt = load_prompt(prompts_folder(), "rewrite")
    with pytest.raises(ConfigError, match="takes"):
        prompt.render(corection="typo")


def test_an_undeclared_placeholder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.md").write_text("placeholders: a\n\n{a} {b}\n")
    with pytest.raises(ConfigError, match="make the two lines agree"):
        load_prompt(tmp_path, "bad")


def test_a_missing_prompt_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.md"):
        load_prompt(tmp_path, "gone")
