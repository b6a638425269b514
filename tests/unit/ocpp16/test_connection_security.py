"""AuthorizationKey and SecurityProfile: whitepaper "Improved security for OCPP 1.6-J", A01 and A05."""

from __future__ import annotations

from typing import Any

import pytest

from chargepoint.ocpp16.security.connection import KIND, Credentials, Encoding, Factory
from chargepoint.ocpp16.security.provided import Provided
from tests.unit.certificate_material import Issuer, key_pem
from tests.unit.ocpp16.bench import Bench

KEY, OTHER = "00112233445566778899aabbccddeeff", "another password"
ROOT = Issuer("Root")
OWN = Issuer("CP001", ROOT, ca=None)


class Station(Bench):
    """A station whose link is the test's: `reconnects` is what each new connection was asked for with."""

    def __init__(
        self,
        profile: int = 0,
        key: str | None = None,
        encoding: Encoding = "auto",
        root: bool = False,
        own: bool = False,
        **more: Any,
    ) -> None:
        self.factory_security = Factory(Credentials(profile, key), encoding, fallback_s=60)
        self.files = Provided(
            central_system=ROOT.pem if root else "",
            own_chain=OWN.pem if own else "",
            own_key=key_pem(OWN.key) if own else "",
        )
        self.reconnects: list[Credentials] = []
        super().__init__(security_events=True, compatibility={"security_events": "all"}, **more)

    def security(self) -> Factory:
        return self.factory_security

    def provided(self) -> Provided:
        return self.files

    def make(self) -> None:
        super().make()
        self.cp.on_reconnect = self._reconnect

    def _reconnect(self) -> None:
        self.reconnects.append(self.cp.connection.credentials)
        self.disconnect()

    def change(self, key: str, value: str) -> str:
        return str(self.call("ChangeConfiguration", {"key": key, "value": value})["status"])

    def value(self, key: str) -> Any:
        return self.call("GetConfiguration", {"key": [key]})["configurationKey"][0].get("value")

    def refused(self, kind: str, times: int = 1) -> None:
        """So many attempts fail."""
        for _ in range(times):
            with self.cp.turn:
                self.cp.connection.failed(kind, "a reason")

    def told(self) -> list[str]:
        kinds = [payload["type"] for payload in self.sent("SecurityEventNotification")]
        return [kind for kind in kinds if kind != "StartupOfTheDevice"]


def connected(*args: Any, **settings: Any) -> Station:
    station = Station(*args, **settings)
    station.connect()
    return station


class TestAuthorizationKey:
    @pytest.mark.parametrize(
        ("encoding", "key", "status"),
        [
            pytest.param("auto", "0" * 32, "Accepted", id="16-bytes"),
            pytest.param("auto", "0" * 40, "Accepted", id="20-bytes"),
            pytest.param("auto", "0" * 33, "Accepted", id="odd-digits-are-text"),
            pytest.param("auto", "x" * 16, "Accepted", id="shortest-text"),
            pytest.param("auto", "x" * 40, "Accepted", id="longest-text"),
            pytest.param("auto", "x" * 15, "Rejected", id="too-short"),
            pytest.param("auto", "x" * 41, "Rejected", id="too-long"),
            pytest.param("auto", "tab\tin the middle of", "Rejected", id="not-printable"),
            pytest.param("auto", "\u00e4" * 16, "Rejected", id="not-ascii"),
            pytest.param("hex", "x" * 16, "Rejected", id="text-for-hex"),
            pytest.param("hex", "0" * 30, "Rejected", id="hex-too-short"),
            pytest.param("hex", "0" * 34, "Accepted", id="hex"),
            pytest.param("literal", "0" * 34, "Accepted", id="digits-are-text"),
            pytest.param("literal", "0" * 8, "Rejected", id="text-too-short"),
        ],
    )
    def test_what_is_a_key(self, encoding: Encoding, key: str, status: str) -> None:
        station = connected(1, KEY, encoding)
        assert station.change("AuthorizationKey", key) == status
        expected = [Credentials(1, key)] if status == "Accepted" else []
        assert station.reconnects == expected

    def test_accepted_is_said_before_the_connection_ends(self) -> None:
        station = connected(1, KEY)
        assert station.change("AuthorizationKey", OTHER) == "Accepted"
        assert station.reconnects == [Credentials(1, OTHER)]
        station.connect()
        assert station.sent("Heartbeat") == [{}]
        assert not station.cp.connection.on_trial
        assert station.cp.connection.proven == Credentials(1, OTHER)
        assert len(station.sent("BootNotification")) == 1
        assert station.told() == ["ReconfigurationOfSecurityParameters"]

    @pytest.mark.parametrize("profile", [0, 3])
    def test_only_stored_where_no_password_is_used(self, profile: int) -> None:
        station = connected(profile)
        assert station.change("AuthorizationKey", KEY) == "Accepted"
        assert station.reconnects == []
        station.restart()
        assert station.cp.connection.credentials == Credentials(profile, KEY)

    def test_works_in_pending(self) -> None:
        station = Station(1, KEY)
        station.csms.answers["BootNotification"] = lambda _: {
            "status": "Pending",
            "currentTime": "2026-01-01T00:00:00Z",
            "interval": 60,
        }
        station.connect()
        assert station.change("AuthorizationKey", OTHER) == "Accepted"
        station.connect()
        assert station.sent("Heartbeat") == []
        assert station.cp.connection.on_trial
        station.advance(60)
        assert station.cp.connection.proven.key == OTHER

    def test_an_answer_that_is_owed_to_us_is_waited_for(self) -> None:
        station = connected(1, KEY)
        station.csms.answers["StartTransaction"] = lambda _: None
        station.charge()
        assert station.cp.session.outstanding is not None
        assert station.change("AuthorizationKey", OTHER) == "Accepted"
        assert station.reconnects == []
        station.advance(30)
        assert station.reconnects == [Credentials(1, OTHER)]

    def test_never_shown(self) -> None:
        station = connected(1, KEY)
        assert station.value("AuthorizationKey") is None
        every = station.call("GetConfiguration", {})["configurationKey"]
        assert "AuthorizationKey" not in [entry["key"] for entry in every]
        assert KEY not in repr((station.cp.connection.credentials, station.events))

    def test_the_old_one_takes_turns_with_a_refused_one_for_a_while(self) -> None:
        station = connected(1, KEY)
        station.change("AuthorizationKey", OTHER)
        tried = []
        for _ in range(6):
            station.refused("unauthorized")
            tried.append(station.cp.connection.credentials.key)
        assert tried == [OTHER, OTHER, KEY, OTHER, KEY, OTHER]
        station.advance(10 * 60)
        station.refused("unauthorized", 2)
        assert station.cp.connection.credentials.key == OTHER
        station.connect()
        assert station.told().count("FailedToAuthenticateAtCentralSystem") == 1

    def test_a_server_that_is_away_says_nothing_of_the_key(self) -> None:
        station = connected(1, KEY)
        station.change("AuthorizationKey", OTHER)
        station.refused("refused", 20)
        station.refused("timeout", 20)
        assert station.cp.connection.credentials.key == OTHER

    def test_a_trial_goes_on_after_a_power_cut(self) -> None:
        station = connected(1, KEY)
        station.change("AuthorizationKey", OTHER)
        station.restart()
        assert station.cp.connection.credentials.key == OTHER
        assert station.cp.connection.proven.key == KEY
        station.connect()
        station.restart()
        assert station.cp.connection.proven.key == OTHER
        assert not station.cp.connection.on_trial


class TestSecurityProfile:
    @pytest.mark.parametrize(
        ("now", "wanted", "means", "status"),
        [
            pytest.param(0, "1", {"key": KEY}, "Accepted", id="0-to-1"),
            pytest.param(0, "1", {}, "Rejected", id="without-a-key"),
            pytest.param(1, "2", {"key": "any", "root": True}, "Accepted", id="1-to-2"),
            pytest.param(1, "2", {"key": KEY}, "Rejected", id="without-a-root"),
            pytest.param(0, "2", {"root": True}, "Rejected", id="2-without-a-key"),
            pytest.param(0, "3", {"root": True, "own": True}, "Accepted", id="0-to-3"),
            pytest.param(2, "3", {"key": KEY, "root": True}, "Rejected", id="without-a-certificate"),
            pytest.param(2, "3", {"key": KEY, "own": True}, "Rejected", id="3-without-a-root"),
            pytest.param(1, "1", {"key": KEY}, "Rejected", id="the-same"),
            pytest.param(2, "1", {"key": KEY}, "Rejected", id="lower"),
            pytest.param(1, "0", {"key": KEY}, "Rejected", id="none"),
            pytest.param(0, "4", {"key": KEY, "root": True, "own": True}, "Rejected", id="too-high"),
            pytest.param(0, "-1", {"key": KEY}, "Rejected", id="negative"),
            pytest.param(0, "one", {"key": KEY}, "Rejected", id="no-number"),
            pytest.param(0, "", {"key": KEY}, "Rejected", id="empty"),
            pytest.param(0, "9" * 400, {"key": KEY}, "Rejected", id="huge"),
        ],
    )
    def test_table(self, now: int, wanted: str, means: dict[str, Any], status: str) -> None:
        station = connected(now, **means)
        assert station.change("SecurityProfile", wanted) == status
        expected = [Credentials(int(wanted), means.get("key"))] if status == "Accepted" else []
        assert station.reconnects == expected
        if status == "Rejected":
            assert station.value("SecurityProfile") == str(now)
            assert list(station.store.items(KIND)) == []

    def test_given_up_after_three_failures_and_the_fall_back_time(self) -> None:
        station = connected(0, KEY)
        station.change("SecurityProfile", "1")
        station.refused("unauthorized", 5)
        assert station.cp.connection.credentials.profile == 1
        station.advance(60)
        station.refused("unauthorized")
        assert station.cp.connection.credentials.profile == 0
        station.connect()
        assert station.value("SecurityProfile") == "0"
        assert any("back to 0" in event.get("message", "") for event in station.events)

    def test_time_alone_does_not_give_it_up(self) -> None:
        station = connected(0, KEY)
        station.change("SecurityProfile", "1")
        station.advance(600)
        station.refused("refused", 2)
        assert station.cp.connection.credentials.profile == 1

    def test_connections_that_bring_no_answer_count_as_failures(self) -> None:
        station = connected(0, KEY)
        station.change("SecurityProfile", "1")
        station.advance(60)
        station.csms.answers["Heartbeat"] = lambda _: None
        for _ in range(3):
            station.connect()
            station.disconnect()
        assert station.cp.connection.credentials.profile == 0

    def test_never_given_up_once_it_worked(self) -> None:
        station = connected(0, KEY)
        station.change("SecurityProfile", "1")
        station.connect()
        for _ in range(2):
            station.refused("unauthorized", 10)
            station.advance(600)
            station.refused("closed")
            assert station.cp.connection.credentials.profile == 1
            station.restart()
        station.connect()
        assert station.value("SecurityProfile") == "1"

    def test_local_service_may_lower_it(self) -> None:
        station = connected(1, KEY)
        with station.cp.turn:
            assert station.cp.configuration.set_service("SecurityProfile", "0") is None
        assert station.reconnects == [Credentials(0, KEY)]
        station.restart()
        assert station.cp.connection.credentials.profile == 0

    @pytest.mark.parametrize(
        ("key", "value"), [("SecurityProfile", "4"), ("SecurityProfile", "1"), ("AuthorizationKey", "")]
    )
    def test_what_local_service_may_not_write(self, key: str, value: str) -> None:
        station = connected(0)
        with station.cp.turn:
            assert station.cp.configuration.set_service(key, value) is not None
        assert station.reconnects == []

    def test_a_colon_in_the_identity_allows_no_password(self) -> None:
        """RFC 7617: it ends the user name."""
        station = connected(0, KEY)
        station.cp.connection._identity = "a:b"
        assert station.change("SecurityProfile", "1") == "Rejected"


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        ("tls_version", "InvalidTLSVersion"),
        ("tls_cipher", "InvalidTLSCipherSuite"),
        ("tls_certificate", "InvalidCentralSystemCertificate"),
        ("client_certificate", "FailedToAuthenticateAtCentralSystem"),
        ("unauthorized", "FailedToAuthenticateAtCentralSystem"),
    ],
)
def test_one_event_for_each_series_of_failures(kind: str, event: str) -> None:
    station = connected(2, KEY, root=True)
    for series in (1, 2):
        station.disconnect()
        station.refused(kind, 5)
        station.connect()
        with station.cp.turn:
            station.cp.boot.heartbeat()
        station.advance(0)
        assert station.told() == [event] * series
