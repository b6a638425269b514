"""The wiring pictures are what docs/wiring_pictures.py draws, and can be read."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PICTURES = sorted((DOCS / "wiring").glob("*.svg"))
SIZES = {"title": 18.0, "name": 14.0, "about": 12.0, "note": 12.0, "on": 12.0}
WIDE = 0.66  # of the size: the mean of a bold letter

Extent = tuple[float, float, float, float]


def texts(picture: Path) -> dict[tuple[str, Extent], str]:
    """Every text with about where it is: left, top, right, bottom."""
    found = {}
    for element in ElementTree.parse(picture).iter("{http://www.w3.org/2000/svg}text"):
        size = SIZES.get(element.get("class", ""), 13.0)
        words = element.text or ""
        length = len(words) * size * (WIDE if element.get("class") in ("title", "name") else 0.56)
        x, y = float(element.get("x", "0")), float(element.get("y", "0"))
        left = x - {"middle": length / 2, "end": length}.get(element.get("text-anchor", ""), 0.0)
        found[words, (left, y - 0.75 * size, left + length, y + 0.2 * size)] = words
    return found


def overlap(one: Extent, other: Extent) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_the_script_draws_what_is_in_the_folder(tmp_path: Path) -> None:
    subprocess.run((sys.executable, DOCS / "wiring_pictures.py", tmp_path), timeout=50, check=True)
    drawn = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert drawn == {path.name: path.read_text(encoding="utf-8") for path in PICTURES}, "run make docs"


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.stem)
def test_no_text_lies_on_another_or_leaves_the_picture(picture: Path) -> None:
    written = texts(picture)
    for (one, here), (other, there) in combinations(written, 2):
        assert not overlap(here, there), (one, other)
    width = float(re.findall(r'viewBox="0 0 (\d+) ', picture.read_text(encoding="utf-8"))[0])
    for words, extent in written:
        assert extent[0] >= 0, words
        assert extent[2] <= width, words


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.stem)
def test_a_page_shows_it_and_it_fetches_nothing(picture: Path) -> None:
    text = picture.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|@import|@font-face|href", text)
    pages = [page.read_text(encoding="utf-8") for page in DOCS.glob("*.md")]
    assert any(f"](wiring/{picture.name})" in page for page in pages)
