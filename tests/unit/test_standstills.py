"""A test of real time is played again after the machine stood still, and only then."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.standstills import NOTICED_S, TRIES, Standstills, again_after_a_standstill


class Seen(Standstills):
    """A machine that stood still for this long while each test ran."""

    def __init__(self, longest_s: float) -> None:
        super().__init__()
        self._stood_s = longest_s

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.longest_s = self._stood_s


@pytest.mark.parametrize(
    ("stood_s", "fails", "played"),
    [
        pytest.param(0.0, 0, 1, id="good"),
        pytest.param(25.0, 0, 1, id="good, although it stood still"),
        pytest.param(NOTICED_S / 2, 9, 1, id="a mistake"),
        pytest.param(NOTICED_S, 2, 3, id="disturbed twice"),
        pytest.param(25.0, 9, TRIES, id="a mistake, and always disturbed"),
    ],
)
def test_how_often_it_is_played(tmp_path: Path, stood_s: float, fails: int, played: int) -> None:
    folders: list[Path] = []

    def story(tmp_path: Path, word: str) -> None:
        assert word == "a"
        assert list(tmp_path.iterdir()) == []
        folders.append(tmp_path)
        if len(folders) <= fails:
            raise TimeoutError

    again = again_after_a_standstill(story, partial(Seen, stood_s))
    if fails < played:
        again(tmp_path=tmp_path, word="a")
    else:
        with pytest.raises(TimeoutError):
            again(tmp_path=tmp_path, word="a")
    assert len(set(folders)) == len(folders) == played


@pytest.mark.search
def test_a_step_that_lets_no_other_thread_run_is_noticed() -> None:
    steps = 1_000_000
    with Standstills() as seen:
        while seen.longest_s < NOTICED_S:
            steps *= 2
            sum(range(steps))  # one step of C code
