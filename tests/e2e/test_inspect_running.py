"""`chargepoint inspect` beside a running station, and after it: it sees what happens and disturbs nothing."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.e2e.shell import Program, forked


def test_a_running_station_is_seen_charging_and_goes_on(tmp_path: Path) -> None:
    with Program("run", "--clock=x60", cwd=tmp_path, fresh=False) as station:
        station.until("connector 1  Charging")
        seen = json.loads(forked("inspect", "--json", cwd=tmp_path).stdout)
        assert (seen["station"], seen["accepted"], seen["starts"]) == ("CP001", True, 1)
        assert seen["charges"]["running"] == 1
        shown = forked("inspect", "--svg=limits.svg", cwd=tmp_path).stdout
        assert "Transactions: 1 running, 0 ended, 0 undelivered" in shown
        assert (tmp_path / "limits.svg").read_text().startswith("<svg ")
        station.signal(signal.SIGTERM)
        assert station.end() == 0
    after = json.loads(forked("inspect", "--json", cwd=tmp_path).stdout)
    assert (after["charges"]["running"], after["charges"]["ended"]) == (0, 1)
    assert after["queue"] == []
