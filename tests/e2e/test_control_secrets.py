"""No secret in a reply, an event, a log or a trace (security white paper A01)."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from chargepoint.csms.central_system import CentralSystem
from tests.integration.piped import play
from tests.integration.station_process import CP, configuration, station

FIRST = "f1f2f3f4f5f6f7f8f9fafbfcfdfeff00"
SECOND = "0a0b0c0d0e0f1a1b1c1d1e1f2a2b2c2d2e2f"
THIRD = "a third password"


def _forms(key: str) -> list[str]:
    """How a key could show: as it is written, as the password in it, in the header that carries it."""
    raw = bytes.fromhex(key) if " " not in key else key.encode()
    return [
        key.lower(),
        raw.hex(),
        raw.decode("latin-1").lower(),
        base64.b64encode(f"{CP}:".encode() + raw).decode().lower(),
        base64.b64encode(raw).decode().lower().rstrip("="),
    ]


def test_no_key_is_ever_shown(tmp_path: Path) -> None:
    async def story() -> None:
        config = configuration(tmp_path, csms={"security_profile": 1, "authorization_key": FIRST})
        trace = tmp_path / "trace.jsonl"
        arguments = ("--config", config, "--linger", "0", "--trace", trace)
        said = ""
        async with CentralSystem(seed=1, passwords={CP: bytes.fromhex(FIRST)}) as central:
            async with station(*arguments, csms=central.url, storage=tmp_path / "storage") as cp:
                await cp.advance(1)
                assert (await cp.do("status"))["registration"] == "Accepted"
                change = {"key": "AuthorizationKey", "value": SECOND}
                await central.call(CP, "ChangeConfiguration", change)
                central.set_password(CP, bytes.fromhex(SECOND))
                await cp.event("connection", online=False)
                await cp.event("connection", online=True)
                await central.call(CP, "GetConfiguration", {"key": ["AuthorizationKey"]})
                await central.call(CP, "GetConfiguration", {})
                central.set_password(CP, THIRD * 20)
                await cp.do("config", key="AuthorizationKey", value=THIRD)
                await cp.do("config", key="AuthorizationKey", value=THIRD * 20)
                await cp.event("connection", online=True)
                await cp.ask({"cmd": "override", "action": "ChangeConfiguration", "status": "Accepted"})
                await central.call(CP, "ChangeConfiguration", change)
                await cp.advance(1)
                await cp.shut_down()
                said += json.dumps(cp.lines, ensure_ascii=False) + cp.errors
            async with station(*arguments, csms=central.url, storage=tmp_path / "storage") as cp:
                await cp.advance(60)
                await cp.do("status")
                await cp.shut_down()
                said += json.dumps(cp.lines, ensure_ascii=False) + cp.errors
        said = (said + trace.read_text()).lower()
        assert "changeconfiguration" in said
        assert '"event":"verb","cmd":"config","key":"authorizationkey","value":"***"' in said
        assert [form for key in (FIRST, SECOND, THIRD) for form in _forms(key) if form in said] == []

    play(story)


def test_a_refused_password_is_told_without_it(tmp_path: Path) -> None:
    async def story() -> None:
        config = configuration(tmp_path, csms={"security_profile": 1, "authorization_key": FIRST})
        async with (
            CentralSystem(seed=1, passwords={CP: "another"}) as central,
            station("--config", config, csms=central.url, storage=tmp_path / "s") as cp,
        ):
            await cp.advance(300)
            reasons = [event for event in cp.events if event["event"] == "connection"]
            assert len(reasons) == 1
            assert "401" in reasons[0]["reason"]
            await cp.shut_down()
        said = (json.dumps(cp.lines, ensure_ascii=False) + cp.errors).lower()
        assert [form for form in _forms(FIRST) if form in said] == []

    play(story)
