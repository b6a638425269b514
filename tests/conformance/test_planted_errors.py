"""The cases see what they are there to see: a station with an error put in fails the case named beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conformance import planted_errors as errors
from tests.conformance import test_core_operations as operations
from tests.conformance import test_core_restarts as restarts
from tests.conformance import test_core_sessions as sessions
from tests.conformance import test_core_transactions as transactions
from tests.conformance import test_firmware as firmware
from tests.conformance import test_remote_trigger as remote_trigger
from tests.conformance import test_reservation as reservation
from tests.conformance import test_security as security
from tests.conformance import test_smart_charging as smart_charging
from tests.conformance.case import Case


@dataclass(frozen=True, slots=True)
class Planted:
    """An error, the case that must fail with it, and what that case must say."""

    plant: Callable[[pytest.MonkeyPatch], None]
    case: Case
    says: str


PLANTED = (
    Planted(
        errors.authorize_skipped,
        sessions.test_tc_003_charging_session_plug_first,
        "StartTransaction is not Authorize",
    ),
    Planted(
        errors.authorize_skipped,
        sessions.test_tc_023_4_start_local_not_authorised,
        "StatusNotification is not Authorize",
    ),
    Planted(errors.stop_reason_wrong, sessions.test_tc_012_remote_stop, "reason is 'Local'"),
    Planted(errors.stop_reason_wrong, restarts.test_tc_015_hard_reset_with_transaction, "reason is 'Local'"),
    Planted(errors.stop_with_a_tag_nobody_presented, sessions.test_tc_012_remote_stop, "idTag is 'TAG'"),
    Planted(
        errors.transaction_id_wrong, sessions.test_tc_003_charging_session_plug_first, "transactionId is 1002"
    ),
    Planted(
        errors.time_of_sending,
        transactions.test_tc_037_1_offline_start_valid,
        "StartTransaction: its timestamp",
    ),
    Planted(errors.time_of_sending, transactions.test_tc_038_offline_stop, "StopTransaction: its timestamp"),
    Planted(
        errors.reservation_id_omitted,
        reservation.test_tc_046_1_reserve_local_start,
        "reservationId is absent",
    ),
    Planted(errors.context_wrong, transactions.test_tc_070_sampled_meter_values, "Sample.Clock"),
    Planted(errors.samples_thinned, transactions.test_tc_036_connection_loss_during_transaction, "[31"),
    Planted(
        errors.finishing_omitted, sessions.test_tc_003_charging_session_plug_first, "but nothing is left"
    ),
    Planted(errors.only_connector_0_after_the_boot, sessions.test_tc_001_cold_boot, "but nothing is left"),
    Planted(
        errors.connection_timeout_ignored, sessions.test_tc_004_2_connection_timeout, "but nothing is left"
    ),
    Planted(errors.heartbeat_interval_ignored, sessions.test_tc_001_cold_boot, "but nothing is left"),
    Planted(errors.boot_interval_ignored, sessions.test_tc_001_cold_boot, "but BootNotification came too"),
    Planted(
        errors.boots_on_reconnect, restarts.test_tc_035_idle_charge_point, "but BootNotification came too"
    ),
    Planted(
        errors.talks_while_pending, sessions.test_tc_002_cold_boot_pending, "but StatusNotification came too"
    ),
    Planted(errors.acts_before_the_answer, remote_trigger.test_tc_054_trigger, "sent before the answer"),
    Planted(
        errors.cache_not_cleared,
        operations.test_tc_061_1_clear_cache_local,
        "StartTransaction is not Authorize",
    ),
    Planted(
        errors.availability_forgotten,
        restarts.test_tc_034_power_failure_while_unavailable,
        "status is 'Available'",
    ),
    Planted(errors.unknown_connector_fails, operations.test_tc_031_unlock_unknown_connector, "UnlockFailed"),
    Planted(
        errors.signature_not_checked, security.test_tc_081_invalid_firmware_signature, "SignatureVerified"
    ),
    Planted(errors.every_issuer_trusted, security.test_tc_077_invalid_charge_point_certificate, "'Accepted'"),
    Planted(errors.password_kept, security.test_tc_073_update_password, "assert 1 == 2"),
    Planted(
        errors.certificate_not_shown, security.test_tc_074_update_charge_point_certificate, "assert 1 == 2"
    ),
    Planted(errors.downgrade_allowed, security.test_tc_084_downgrade_security_profile, "'Accepted'"),
    Planted(errors.installed_never_told, firmware.test_tc_044_1_firmware_update, "but nothing is left"),
    Planted(errors.profiles_not_installed, smart_charging.test_tc_056_tx_default_profile, "{0: 32.0}"),
    Planted(
        errors.profiles_not_installed,
        smart_charging.test_tc_058_1_tx_profile_without_transaction,
        "'Accepted'",
    ),
)


@pytest.mark.parametrize(
    "planted",
    PLANTED,
    ids=lambda planted: f"{planted.plant.__name__}-{planted.case.__name__[5:13].rstrip('_')}",
)
def test_a_planted_error_is_seen(planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.plant(monkeypatch)
    with pytest.raises(AssertionError) as failure:
        planted.case(tmp_path)
    assert planted.says in str(failure.value)
