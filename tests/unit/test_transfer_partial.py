"""What is left of a download for the next attempt, on a disk that may be full or cut off from power."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chargepoint.domain.outside import TransferFailed
from chargepoint.transfer.partial import PartialFile, discard

MIB = 2**20


def part(folder: Path, source: str = "here", limit: int = 100 * MIB) -> PartialFile:
    """An open part of the file `f`."""
    opened = PartialFile(folder, "f", source, limit, 0)
    opened.open()
    return opened


def test_begun_and_gone_on_with(tmp_path: Path) -> None:
    first = part(tmp_path)
    first.begin("mark", 6)
    first.write(b"abc")
    first.close()
    first.close()
    second = part(tmp_path)
    assert (second.mark, second.size, second.total) == ("mark", 3, 6)
    second.write(b"def")
    assert Path(second.finish()).read_bytes() == b"abcdef"
    second.close()
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_after_a_power_cut_only_what_was_synced_counts(tmp_path: Path) -> None:
    lost = part(tmp_path)
    lost.begin("mark", None)
    for _ in range(6):
        lost.write(bytes(MIB))  # never closed; the disk may hold anything behind the last sync
    again = part(tmp_path)
    assert again.size == 4 * MIB
    again.write(b"end")
    assert Path(again.finish()).stat().st_size == 4 * MIB + 3
    lost.close()


@pytest.mark.parametrize(
    "note",
    [
        None,
        b"",
        b"\0\0\0",
        b"[]",
        json.dumps({"source": "elsewhere", "mark": "m", "total": 6, "size": 3}).encode(),
        json.dumps({"source": "here", "mark": None, "total": 6, "size": 3}).encode(),
        json.dumps({"source": "here", "mark": "m", "total": 6, "size": 4}).encode(),
        json.dumps({"source": "here", "mark": "m", "total": 6, "size": -1}).encode(),
        json.dumps({"source": "here", "mark": "m", "total": 6, "size": "3"}).encode(),
    ],
    ids=[
        "none",
        "empty",
        "zeros",
        "list",
        "elsewhere",
        "no-mark",
        "longer-than-the-file",
        "negative",
        "text",
    ],
)
def test_without_a_fitting_note_it_begins_anew(note: bytes | None, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(b"abc")
    if note is not None:
        (tmp_path / "f.part.json").write_bytes(note)
    opened = part(tmp_path)
    assert (opened.size, opened.mark) == (0, None)
    assert (tmp_path / "f.part").stat().st_size == 0
    opened.close()


def test_without_a_mark_nothing_is_kept(tmp_path: Path) -> None:
    first = part(tmp_path)
    first.begin(None, 6)
    first.write(b"abc")
    first.close()
    second = part(tmp_path)
    assert second.size == 0
    second.close()


def test_too_large(tmp_path: Path) -> None:
    small = part(tmp_path, limit=5)
    with pytest.raises(TransferFailed, match="more than 5 bytes"):
        small.begin("mark", 6)
    small.begin("mark", None)
    small.write(b"abcde")
    with pytest.raises(TransferFailed) as caught:
        small.write(b"f")
    assert caught.value.kind == "disk"
    small.close()


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"precious")
    (tmp_path / "f.part").symlink_to(tmp_path / "target")
    with pytest.raises(TransferFailed) as caught:
        part(tmp_path)
    assert caught.value.kind == "disk"
    assert (tmp_path / "target").read_bytes() == b"precious"


def test_discard(tmp_path: Path) -> None:
    begun = part(tmp_path)
    begun.begin("mark", None)
    begun.write(b"abc")
    begun.close()
    (tmp_path / "f").touch()
    (tmp_path / "other").touch()
    discard(tmp_path, "f")
    discard(tmp_path, "f")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


@pytest.mark.parametrize("name", ["", "..", "../f", "a/b"])
def test_unsafe_names_are_our_own_mistake(name: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        PartialFile(tmp_path, name, "here", 1, 0)
