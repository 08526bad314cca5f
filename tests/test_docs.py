"""The pages that people read hold together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
_CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What GitHub calls a page's headings: small letters, no punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ (.+)$", _CODE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    for target, anchor in _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8"))):
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(found), f"{page.name} links to {target}#{anchor}"


def test_every_module_is_in_the_listing_of_the_house() -> None:
    """A listing that leaves something out is worse than none."""
    listing = (ROOT / "README.md").read_text(encoding="utf-8").split("## The house")[1].split("## Limits")[0]
    named = set(re.findall(r"\w+", listing))
    formats = ROOT / "dreamloop" / "collect" / "formats"
    kinds = ROOT / "dreamloop" / "dream" / "kinds"
    records = ROOT / "dreamloop" / "records"
    told_by_their_folder = {formats, kinds, records}
    modules = [path for path in (ROOT / "dreamloop").rglob("*.py") if path.parent not in told_by_their_folder]
    missing = sorted(str(path) for path in modules if path.stem not in named and not path.stem.startswith("__"))
    assert not missing
