"""SignedUpdateFirmware (whitepaper "Improved security for OCPP 1.6-J", L01; TC_080, TC_081).

Certificates and signatures are real ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from chargepoint.ocpp16.times import format_time
from tests.unit.ocpp16.bench import START
from tests.unit.ocpp16.firmware import BROKEN, Build, FirmwareBench, Signer, ready

WHOLE = ["Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting", "Installed"]
UNTRUSTED = "InvalidFirmwareSigningCertificate"

MAKER = Signer("Maker", authority=True)


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Firmware signed by somebody the maker trusts."""
    return Build(tmp_path, Signer("Signing", MAKER))


def trusting(*roots: Signer, **options: Any) -> FirmwareBench:
    """A station in operation with the maker's root certificate."""
    bench = ready(security_events=True, **options)
    bench.trust(*(roots or (MAKER,)))
    return bench


def numbered(statuses: list[str], request_id: int = 7) -> list[str]:
    return [f"{status} {request_id}" for status in statuses]


def security_events(bench: FirmwareBench) -> list[str]:
    """The types that matter here, as they were sent."""
    types = [payload["type"] for payload in bench.sent("SecurityEventNotification")]
    return [type for type in types if "Firmware" in type]


def finish(bench: FirmwareBench) -> None:
    """Let the update end, and everything after it."""
    bench.go_on()
    bench.advance(10)
    assert bench.errors == []
    assert bench.illegal_statuses() == []
    assert not bench.cp.connectors.updating


def trigger(bench: FirmwareBench) -> tuple[str, int | None]:
    """Ask for the status; what was told, and of which request."""
    with bench.cp.turn:
        assert bench.cp.updates.trigger_signed()
    bench.advance(0)
    payload = bench.sent("SignedFirmwareStatusNotification")[-1]
    return payload["status"], payload.get("requestId")


class TestCourse:
    def test_080(self, build: Build) -> None:
        bench = trusting()
        assert build.order(bench) == "Accepted"
        n = len(bench.actions())
        finish(bench)
        assert bench.told() == numbered(WHOLE)
        assert bench.became() == WHOLE
        assert bench.version() == "fw-2.0"
        assert security_events(bench) == ["FirmwareUpdated"]
        assert bench.sent("FirmwareStatusNotification") == []
        assert "BootNotification" in bench.actions()[n:]
        assert bench.transfers.discarded == ["firmware-1"]

    def test_081_a_file_that_is_another(self, build: Build) -> None:
        bench = trusting()
        assert build.order(bench) == "Accepted"
        build.path.write_bytes(build.content + b".")
        finish(bench)
        assert bench.told() == numbered([*WHOLE[:2], "InvalidSignature"])
        assert security_events(bench) == ["InvalidFirmwareSignature"]
        assert bench.installer.installations == []
        assert bench.statuses() == ["Available"]
        assert bench.transfers.discarded == ["firmware-1"]

    @pytest.mark.parametrize("signature", ["", "not base64!", "AAAA"])
    def test_a_signature_that_is_none(self, build: Build, signature: str) -> None:
        bench = trusting()
        assert build.order(bench, signature=signature) == "Accepted"
        finish(bench)
        assert bench.told()[-1] == "InvalidSignature 7"

    def test_a_signature_with_line_breaks(self, build: Build) -> None:
        bench = trusting()
        text = build.signer.sign(build.content)
        build.order(bench, signature="\n".join(text[n : n + 40] for n in range(0, len(text), 40)))
        finish(bench)
        assert bench.told() == numbered(WHOLE)

    @pytest.mark.parametrize(
        ("restart", "statuses"),
        [
            ("before_installed", WHOLE),
            ("after_installed", [*WHOLE[:4], "Installed", "InstallRebooting"]),
            ("none", [*WHOLE[:4], "Installed"]),
        ],
    )
    def test_when_the_restart_comes(self, build: Build, restart: str, statuses: list[str]) -> None:
        bench = trusting(compatibility={"firmware_restart": restart})
        build.order(bench)
        finish(bench)
        assert bench.told() == numbered(statuses)
        assert len(bench.reboots) == (restart != "none")
        assert trigger(bench) == ("Idle", None)
        assert security_events(bench) == ["FirmwareUpdated"]

    def test_retries(self, build: Build) -> None:
        bench = trusting()
        build.order(bench, retries=1, retryInterval=10)
        bench.serve(BROKEN)
        bench.advance(10)
        bench.serve(BROKEN)
        finish(bench)
        assert bench.told() == numbered(["Downloading", "DownloadFailed"] * 2)

    def test_the_moments_that_were_asked_for(self, build: Build) -> None:
        bench = trusting()
        dates: dict[str, Any] = {
            "retrieveDateTime": format_time(START + 600),
            "installDateTime": format_time(START + 3600),
        }
        build.order(bench, **dates)
        assert bench.told() == ["DownloadScheduled 7"]
        bench.advance(600)
        bench.serve()
        bench.serve()
        assert bench.told()[-1] == "InstallScheduled 7"
        assert bench.local_status() == "Available"
        bench.advance(START + 3599 - bench.clock.now())
        assert bench.installer.installations == []
        bench.advance(1)
        assert bench.local_status() == "Unavailable"
        finish(bench)
        assert bench.told() == numbered(
            ["DownloadScheduled", *WHOLE[:3], "InstallScheduled", *WHOLE[3:]],
        )

    @pytest.mark.parametrize("planned", [True, False])
    def test_it_waits_for_users_and_says_so_once(self, build: Build, planned: bool) -> None:
        bench = trusting()
        bench.charge()
        later: dict[str, Any] = {"installDateTime": format_time(START + 600)}
        build.order(bench, **(later if planned else {}))
        bench.serve()
        bench.serve()
        bench.advance(1000)
        assert bench.local_status() == "Charging"
        bench.plug_out()
        finish(bench)
        assert bench.told() == numbered([*WHOLE[:3], "InstallScheduled", *WHOLE[3:]])

    def test_a_script_wants_it_to_fail(self, build: Build) -> None:
        bench = trusting()
        bench.outside.firmware_outcome.fail = "signature"
        build.order(bench)
        finish(bench)
        assert bench.told()[-1] == "InvalidSignature 7"
        assert security_events(bench) == ["InvalidFirmwareSignature"]

    def test_without_a_real_download_there_is_nothing_to_check(self, build: Build) -> None:
        bench = trusting()
        build.order(bench, signature="")
        bench.world_path = "firmware-1"
        finish(bench)
        assert bench.told() == numbered(WHOLE)
        assert bench.keys.checks == []

    def test_no_station_time_passes_during_the_check(self, build: Build) -> None:
        bench = trusting()
        build.order(bench)
        bench.serve()
        assert bench.clock.held
        bench.serve()
        assert not bench.clock.held
        assert bench.step == "installing"

    def test_a_date_that_is_none(self, build: Build) -> None:
        bench = trusting()
        for field in ("retrieveDateTime", "installDateTime"):
            wrong: dict[str, Any] = {field: "soon"}
            assert build.order(bench, **wrong) == "PropertyConstraintViolation"
        assert bench.told() == []


class TestAlgorithms:
    @pytest.mark.parametrize("pss", [True, False])
    def test_rsa(self, tmp_path: Path, pss: bool) -> None:
        signer = Signer("Signing", MAKER, key=rsa.generate_private_key(65537, 2048))
        build = Build(tmp_path, signer)
        for allowed, last in (
            (["rsa_pss", "rsa_pkcs1v15", "ecdsa"], "Installed"),
            (["rsa_pss"], "Installed" if pss else "InvalidSignature"),
            (["ecdsa"], "InvalidSignature"),
        ):
            bench = trusting(compatibility={"firmware_signature_algorithms": allowed})
            build.order(bench, signature=signer.sign(build.content, pss))
            finish(bench)
            assert bench.became()[-1] == last, allowed

    def test_ecdsa_may_be_left_out(self, build: Build) -> None:
        bench = trusting(compatibility={"firmware_signature_algorithms": ["rsa_pss"]})
        build.order(bench)
        finish(bench)
        assert bench.told()[-1] == "InvalidSignature 7"


class TestCertificate:
    """L01.FR.02: whose firmware is taken is decided before the answer."""

    def refused(self, bench: FirmwareBench, build: Build, **more: Any) -> str:
        """The order gets InvalidCertificate, nothing happens; the event's words."""
        assert build.order(bench, **more) == "InvalidCertificate"
        bench.advance(600)
        assert bench.told() == []
        assert bench.under_way() == []
        (event,) = [p for p in bench.sent("SecurityEventNotification") if p["type"] == UNTRUSTED]
        return str(event.get("techInfo"))

    def test_nobody_is_trusted(self, build: Build) -> None:
        bench = ready(security_events=True)
        assert "ManufacturerRootCertificate" in self.refused(bench, build)

    def test_signed_by_somebody_else(self, tmp_path: Path) -> None:
        other = Signer("Maker", authority=True)  # of the same name
        assert "stands behind" in self.refused(trusting(), Build(tmp_path, Signer("Signing", other)))

    def test_of_itself(self, tmp_path: Path) -> None:
        self.refused(trusting(), Build(tmp_path, Signer("Signing")))

    def test_over_an_intermediate(self, tmp_path: Path) -> None:
        between = Signer("Between", MAKER, authority=True)
        build = Build(tmp_path, Signer("Signing", between))
        self.refused(trusting(), build, signingCertificate=build.signer.pem + between.pem)

    @pytest.mark.parametrize(("days", "words"), [((-9, -1), "expired"), ((1, 9), "not valid yet")])
    def test_out_of_its_time(self, tmp_path: Path, days: tuple[int, int], words: str) -> None:
        build = Build(tmp_path, Signer("Signing", MAKER, days=days))
        assert words in self.refused(trusting(), build)

    def test_weak(self, tmp_path: Path) -> None:
        key = ec.generate_private_key(ec.SECP192R1())
        assert "weak" in self.refused(trusting(), Build(tmp_path, Signer("Signing", MAKER, key=key)))

    @pytest.mark.parametrize(
        "pem", ["", "rubbish", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
    )
    def test_no_certificate(self, build: Build, pem: str) -> None:
        self.refused(trusting(), build, signingCertificate=pem)

    def test_the_root_itself(self, tmp_path: Path) -> None:
        bench = trusting()
        assert Build(tmp_path, MAKER).order(bench) == "Accepted"
        finish(bench)
        assert bench.told() == numbered(WHOLE)

    def test_a_root_that_does_not_say_so(self, tmp_path: Path) -> None:
        plain = Signer("Plain")
        build = Build(tmp_path, Signer("Signing", plain))
        assert build.order(trusting(plain)) == "Accepted"
        bench = trusting(plain)
        strict = bench.config.compatibility.model_copy(update={"require_ca_certificates": True})
        bench.cp.compatibility = strict
        self.refused(bench, build)

    def test_what_runs_goes_on_when_a_bad_one_comes(self, build: Build, tmp_path: Path) -> None:
        bench = trusting()
        build.order(bench)
        assert build.order(bench, 8, signingCertificate=Signer("Signing").pem) == "InvalidCertificate"
        finish(bench)
        assert bench.told() == numbered(WHOLE)


class TestOneAtATime:
    @pytest.mark.parametrize(
        "step", ["scheduled", "downloading", "retrying", "verifying", "planned", "clearing"]
    )
    def test_a_new_one_calls_off_what_is_pending(self, build: Build, step: str) -> None:
        bench = trusting()
        later: dict[str, Any] = {
            "retrieveDateTime": format_time(START + 60),
            "installDateTime": format_time(START + 3600),
        }
        build.order(bench, **later)
        if step == "retrying":
            bench.advance(60)
            bench.serve(BROKEN)
        else:
            bench.go_on("planned" if step == "clearing" else step)
        if step == "clearing":
            bench.charge()
            bench.advance(3600)
        assert bench.step == step
        n = len(bench.told())
        assert build.order(bench, 8) == "AcceptedCanceled"
        assert bench.transfers.discarded == ["firmware-1"]
        assert len(bench.under_way()) == 1
        assert bench.told()[n:] == ["Downloading 8"]
        if step == "clearing":
            bench.plug_out()
        bench.advance(200)
        finish(bench)
        assert bench.told()[n:] in (
            numbered(WHOLE, 8),
            numbered([*WHOLE[:3], "InstallScheduled", *WHOLE[3:]], 8),
        )

    def test_while_installing_it_is_rejected(self, build: Build) -> None:
        bench = trusting()
        build.order(bench)
        bench.go_on("installing")
        assert build.order(bench, 8) == "Rejected"
        finish(bench)
        assert bench.told() == numbered(WHOLE)
        assert build.order(bench, 9) == "Accepted"

    def test_a_plain_one_takes_the_place_of_a_signed_one(self, build: Build) -> None:
        bench = trusting()
        build.order(bench)
        assert bench.update() == {}
        finish(bench)
        assert bench.told() == ["Downloading 7", "Downloading", "Downloaded", "Installing", "Installed"]

    def test_a_signed_one_takes_the_place_of_a_plain_one(self, build: Build) -> None:
        bench = trusting()
        bench.update()
        assert build.order(bench) == "AcceptedCanceled"
        finish(bench)
        assert bench.told() == ["Downloading", *numbered(WHOLE)]


class TestTrigger:
    """L01.FR.28, L01.FR.29."""

    def test_the_last_status_until_it_is_installed(self, build: Build) -> None:
        bench = trusting()
        assert trigger(bench) == ("Idle", None)
        build.order(bench)
        assert trigger(bench) == ("Downloading", 7)
        bench.serve()
        assert trigger(bench) == ("Downloaded", 7)
        finish(bench)
        assert trigger(bench) == ("Idle", None)

    def test_a_failure_is_the_last_status_for_good(self, build: Build) -> None:
        bench = trusting()
        build.order(bench, signature="")
        finish(bench)
        bench.cut()
        assert trigger(bench) == ("InvalidSignature", 7)

    def test_plain_updates_are_another_matter(self, build: Build) -> None:
        bench = trusting()
        build.order(bench)
        answer = bench.call("TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"})
        assert answer == {"status": "Accepted"}
        assert bench.told()[-1] == "Idle"
        bench.update()
        assert trigger(bench) == ("Idle", None)


class TestPowerCut:
    WAY = (
        "scheduled",
        "downloading",
        "retrying",
        "verifying",
        "planned",
        "clearing",
        "installing",
        "restarting",
    )

    @pytest.mark.parametrize("reachable", [True, False])
    @pytest.mark.parametrize("step", WAY)
    def test_it_goes_on_from_each_step(self, build: Build, step: str, reachable: bool) -> None:
        bench = trusting(behaviour={"resume_tx_after_power_loss": True})
        bench.charge()
        later: dict[str, Any] = {
            "retrieveDateTime": format_time(START + 60),
            "installDateTime": format_time(START + 600),
        }
        build.order(bench, **later)
        if not reachable:
            bench.reachable = False
            bench.disconnect()
        cut = failed = False
        while bench.step != "ended":
            if bench.step == step and not cut:
                cut = True
                bench.cut(5)
            elif bench.step == "downloading" and not failed:
                failed = True
                bench.serve(BROKEN)
            elif bench.under_way():
                if (step, bench.step) == ("restarting", "installing"):
                    bench.cp.on_restart = lambda reason: True
                bench.serve()
            elif bench.step == "clearing":
                bench.plug_out()
            else:
                bench.advance(1)
        bench.reachable = True
        bench.reconnect()
        bench.advance(10)
        end = [*WHOLE[:3], "InstallScheduled", *WHOLE[3:]]
        assert bench.became() == ["DownloadScheduled", "Downloading", "DownloadFailed", *end]
        told = bench.became() if reachable else ["DownloadScheduled", *end]
        assert bench.told() == numbered(told)
        assert bench.illegal_statuses() == []
        assert bench.local_status() == "Available"
        assert bench.version() == "fw-2.0"
        assert security_events(bench) == ["FirmwareUpdated"]
