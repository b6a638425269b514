"""The OCPP 1.6 charge point: the feature profiles together over one session, one outbox and one domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ocpp import exceptions
from ocpp.v16 import call_result
from ocpp.v16.enums import RemoteStartStopStatus

from chargepoint.domain import chance
from chargepoint.domain.authorization import Authorizer
from chargepoint.domain.connector import Connector
from chargepoint.domain.connectors import Connectors
from chargepoint.domain.offer import because, offered_w
from chargepoint.domain.outside import Outside
from chargepoint.domain.ports import Behaviour, Link, Store
from chargepoint.domain.time import StationTime
from chargepoint.domain.transaction import Transaction
from chargepoint.domain.turn import Turn
from chargepoint.observer import StationObserver
from chargepoint.ocpp16 import dispatch, messages, schema
from chargepoint.ocpp16.charging_host import ChargingHost
from chargepoint.ocpp16.compatibility import Compatibility
from chargepoint.ocpp16.configuration import Configuration
from chargepoint.ocpp16.core.boot import REGISTRATION, Boot, Registration
from chargepoint.ocpp16.core.meter_values import MeterValues
from chargepoint.ocpp16.core.operations import Operations
from chargepoint.ocpp16.core.settings import Settings
from chargepoint.ocpp16.core.status_notification import Report, StatusReporter
from chargepoint.ocpp16.core.transactions import Authorize, Transactions
from chargepoint.ocpp16.firmware_management.job import in_place
from chargepoint.ocpp16.firmware_management.updates import Updates
from chargepoint.ocpp16.firmware_management.uploads import Uploads
from chargepoint.ocpp16.going_down import GoingDown
from chargepoint.ocpp16.local_auth_list import LocalAuthList
from chargepoint.ocpp16.remote_trigger import RemoteTrigger
from chargepoint.ocpp16.reservation import Reservation
from chargepoint.ocpp16.security.certificates import Certificates
from chargepoint.ocpp16.security.connection import ConnectionSecurity, Factory
from chargepoint.ocpp16.security.events import SecurityEvents
from chargepoint.ocpp16.security.extended_trigger import ExtendedTrigger
from chargepoint.ocpp16.security.provided import NOTHING_PROVIDED, Provided
from chargepoint.ocpp16.security.roots import RootCertificates
from chargepoint.ocpp16.security.vault import Vault
from chargepoint.ocpp16.smart_charging import SmartCharging
from chargepoint.rpc.outbox import Outbox
from chargepoint.rpc.records import Record
from chargepoint.rpc.session import INVALID_ANSWER, CallFailed, Session
from hal.api import NOTHING, Clock, Evse, Fault, Limit, MeterReading

Notify = Callable[[str, dict[str, Any]], None]
"""Takes the name and fields of an event."""

INVALID_CALLS = tuple(set(schema.KINDS.values()))
"""How a CALL is refused whose payload is not as it should be."""

MOST_TOLD = 20
"""How many different complaints about a central system are remembered, so as not to repeat them."""


FACTORY_SECURITY = Factory()
"""No security profile."""

NO_LIMIT = (NOTHING, "no transaction")
"""What is known of a connector whose limit nobody was told."""


class ChargePoint:
    """One station as its central system sees it, from power-up to restart.

    It is told of frames and the link, and tells the link frames and `notify` events; everything it must
    remember is in `store`. Call its public methods inside `turn`.
    """

    __slots__ = (
        "_going_down",
        "_identity",
        "_messages",
        "_notify",
        "_observer",
        "_seed",
        "_told",
        "boot",
        "certificates",
        "compatibility",
        "configuration",
        "connection",
        "connectors",
        "limits_told",
        "local_auth_list",
        "meter_values",
        "on_ping_interval",
        "on_proven",
        "on_reconnect",
        "on_restart",
        "operations",
        "outbox",
        "outside",
        "overrides",
        "security_events",
        "session",
        "starts",
        "statuses",
        "tells_frames",
        "time",
        "transactions",
        "turn",
        "updates",
        "uploads",
        "vault",
    )

    def __init__(
        self,
        identity: str,
        boot_payload: dict[str, str],
        evses: Sequence[Evse],
        store: Store,
        configuration: Configuration,
        behaviour: Behaviour,
        compatibility: Compatibility,
        clock: Clock,
        wire: Clock,
        outside: Outside,
        *,
        seed: int,
        follow_time: bool,
        shared_reader: bool,
        notify: Notify | None = None,
        last_reports: dict[int, Report] | None = None,
        provided: Callable[[], Provided] = lambda: NOTHING_PROVIDED,
        factory_security: Factory = FACTORY_SECURITY,
        vouched: Callable[[str], bool] | None = None,
        observer: StationObserver | None = None,
    ) -> None:
        self._identity = identity
        self._observer = observer
        self._notify = notify
        self.tells_frames = True  # if it tells anything
        self._seed = seed
        self._messages = 0
        self._told: set[str] | None = None  # complaints that would only repeat themselves
        self._going_down: GoingDown | None = None
        self.on_restart: Callable[[str], bool] = _not_possible
        self.on_proven: Callable[[], None] = _nothing
        self.on_ping_interval: Callable[[int], None] = _nothing
        self.on_reconnect: Callable[[], None] = _nothing
        self.overrides: dict[str, dict[str, str]] | None = None
        self.limits_told: dict[int, tuple[Limit, str]] = {}
        self.compatibility = compatibility
        self.outside = outside
        self.time = StationTime(clock, follow_time)
        self.turn = Turn(store, self.time, self.failed)
        self.turn.pump = self._pump
        self.configuration = configuration
        configuration.on_change = self._configuration_changed
        starts = (store.get(REGISTRATION, "boot") or {"n": 0})["n"] + 1
        store.put(REGISTRATION, "boot", {"n": starts})
        self.starts = starts
        self.session = Session(self, self.turn, wire, clock, self._next_id, observer)
        self.outbox = Outbox(self.session, store, self.turn, clock, self)
        self.local_auth_list: LocalAuthList = LocalAuthList(store, configuration, compatibility, self)
        authorizer = Authorizer(
            store,
            configuration,
            Authorize(self.outbox, self),
            self.time.utc,
            self.local_auth_list,
            vouched=vouched,
        )
        self.connectors = Connectors(
            evses,
            self.time,
            self.turn,
            store,
            configuration,
            behaviour,
            self,
            authorizer,
            starts,
            shared_reader,
            compatibility.tx_default_zero_after_n,
        )
        self.connectors.accepted_once = store.get(REGISTRATION, "accepted") is not None
        self.statuses = StatusReporter(
            self.connectors, self.outbox, configuration, self, {} if last_reports is None else last_reports
        )
        self.meter_values = MeterValues(
            self.connectors, self.outbox, configuration, compatibility.temperature_unit
        )
        self.transactions: Transactions = Transactions(
            self.connectors, self.outbox, self.meter_values, authorizer, self
        )
        self.operations: Operations = Operations(
            self.connectors, authorizer, self.statuses, self, compatibility
        )
        self.security_events: SecurityEvents = SecurityEvents(self, store, starts)
        self.uploads: Uploads = Uploads(self, identity, behaviour.diagnostics_file_name)
        self.vault: Vault = Vault(store, outside.key_store, self.time, self.complain, provided)
        self.connection: ConnectionSecurity = ConnectionSecurity(self, identity, store, factory_security)
        self.vault.changed = self.connection.certificates_changed
        configuration.keeper = self.connection
        self.certificates: Certificates = Certificates(self, boot_payload, identity)
        self.updates: Updates = Updates(store, boot_payload, self)
        self.boot = Boot(in_place(store, boot_payload), self.time, self.outbox, configuration, store, self)

    def start(self) -> None:
        """Begin: recover what was interrupted, and let every connector settle."""
        self.security_events.started()
        for connector in self.connectors.all:
            connector.begin()
        self.transactions.recover()
        self.updates.recover()
        self.certificates.start()
        self.statuses.refresh(0)

    def _next_id(self) -> str:
        self._messages += 1
        return chance.message_id(self._seed, self._identity, self.starts, self._messages)

    def listen(self, notify: Notify) -> None:
        """Tell `notify` everything from now on."""
        self._notify = notify

    def notify(self, event: str, **fields: Any) -> None:
        """Tell whoever watches this station."""
        if self._notify is not None:
            self._notify(event, fields)

    def complain(self, message: str) -> None:
        """Something the operator should know."""
        self.notify("error", message=message)

    note = complain

    def complain_once(self, message: str) -> None:
        """Something the central system does wrong: told once until it answers as it should."""
        told = self._told or set()
        if message not in told:
            self._told = {message} | (told if len(told) < MOST_TOLD else set())
            self.complain(message)

    def failed(self, error: Exception) -> None:
        """A turn broke; the station goes on."""
        if self._notify is not None:
            self._notify("failure", {"error": error})

    # --- feature profiles that remember nothing: made for each request ------------------------------

    @property
    def settings(self) -> Settings:
        """Configuration keys."""
        return Settings(self.configuration, self.compatibility.too_many_configuration_keys)

    @property
    def smart_charging(self) -> SmartCharging:
        """Charging profiles, which are in the `book`."""
        host = ChargingHost(self.connectors, self.note)
        return SmartCharging(host, self.configuration, self.compatibility)

    @property
    def reservation(self) -> Reservation:
        """Reservations, which the connectors keep."""
        return Reservation(self.connectors, self.configuration)

    @property
    def remote_trigger(self) -> RemoteTrigger:
        """TriggerMessage."""
        return RemoteTrigger(self)

    @property
    def extended_trigger(self) -> ExtendedTrigger:
        """ExtendedTriggerMessage."""
        return ExtendedTrigger(self)

    @property
    def root_certificates(self) -> RootCertificates:
        """Root certificates, which are in the `vault`."""
        return RootCertificates(self)

    # --- link ---------------------------------------------------------------------------------------

    @property
    def accepted(self) -> bool:
        """The central system accepted this station since it started (§4.2)."""
        return self.boot.accepted

    def link_up(self, link: Link) -> None:
        """Connected."""
        self.session.link_up(link)
        self.on_ping_interval(self.configuration.ping_interval_s)
        self.boot.link_up()
        if self.accepted:
            self.statuses.report_changes()
            self.updates.report()
            self.uploads.link_up()
            self.security_events.link_up()
            if self.connection.on_trial:
                self.boot.heartbeat()

    def link_down(self) -> None:
        """The connection is gone; only the conversation pauses."""
        if self.connection.on_trial and not self.connection.due:
            self.connection.failed("unanswered", "the connection ended without an answer")
        self.boot.link_down()
        self.session.link_down()
        self.outbox.link_down()

    @property
    def online(self) -> bool:
        """There is a link."""
        return self.session.online

    def _pump(self) -> None:
        if self.connection.due:
            # What the central system still has to answer would be sent again, and might count twice.
            if self.session.outstanding is None:
                try:
                    self.on_reconnect()
                finally:
                    self.connection.due = False
        else:
            self.outbox.pump()
        if self._going_down is not None:
            self._going_down.look()

    # --- rpc.session.Peer ---------------------------------------------------------------------------

    def listens(self) -> bool:
        """Silence before the first answer and while rejected (OCPP 1.6 §4.2.1)."""
        return self.boot.registration in (Registration.ACCEPTED, Registration.PENDING)

    def serve(self, action: str, payload: Any) -> Any:
        """Handle a CALL, in the order `dispatch.serve` gives the checks."""
        if self.overrides is not None and action in self.overrides:
            return self._overridden(self.overrides[action])
        try:
            return dispatch.serve(self, action, payload)
        except INVALID_CALLS as error:
            self.security_events.report("InvalidMessages", f"{action}: {error.description}")
            raise

    def _overridden(self, override: Mapping[str, str]) -> dict[str, str]:
        """What a script wants to be answered, whatever is true."""
        if "error" in override:
            kind = next(
                (e for e in vars(exceptions).values() if getattr(e, "code", None) == override["error"]),
                exceptions.GenericError,
            )
            raise kind("overridden")
        return {"status": override["status"]}

    def render(self, action: str, result: Any) -> Any:
        """The wire payload of a handler's result, checked like everything that goes out."""
        payload = messages.to_wire(result)
        problem = schema.check_answer(action, payload)
        if problem is not None and not (self.overrides and action in self.overrides):
            self.complain(f"the answer to {action} breaks its schema: {problem}")
        return payload

    def check_answer(self, action: str, payload: Any) -> str | None:
        """What is wrong with the answer to a CALL of ours."""
        problem = schema.check_answer(action, payload)
        if problem is None:
            self._told = None
        else:
            self.complain_once(f"the answer to {action} was not valid: {problem}"[:500])
            self.security_events.report("InvalidMessages", f"the answer to {action}: {problem}")
        return problem

    def answered_late(self, message_id: str, payload: Any) -> None:
        """Nobody waits any more; a record that is still queued takes it all the same."""
        if not self.outbox.answered_late(
            message_id, lambda action: schema.check_answer(action, payload), payload
        ):
            self.notify("late", message_id=message_id)
            if self._observer is not None:
                self._observer.answered_late(self._identity, message_id, payload)

    def unreadable(self, problem: str) -> bool:
        """A frame that is none."""
        self.complain_once(f"the central system sent something unreadable: {problem}"[:500])
        self.security_events.report("InvalidMessages", problem)
        return self.compatibility.unparsable_frame == "generic_error"

    def heard(self) -> None:
        """This connection works."""
        self.on_proven()

    def frame_sent(self, data: bytes) -> None:
        """A frame goes out."""
        if self.tells_frames and self._notify is not None:
            self._notify("frame_sent", {"data": data})

    # --- rpc.outbox.Post ----------------------------------------------------------------------------

    @property
    def message_timeout_s(self) -> float:
        """MessageTimeout (errata 3.83)."""
        return self.configuration.message_timeout_s

    @property
    def attempts(self) -> int:
        """TransactionMessageAttempts."""
        return self.configuration.attempts

    @property
    def retry_interval_s(self) -> float:
        """TransactionMessageRetryInterval."""
        return float(self.configuration.retry_interval_s)

    def render_record(self, record: Record) -> tuple[str, Any]:
        """Action and payload of a record."""
        return self.transactions.render(record)

    check_request = staticmethod(schema.check_request)

    def record_answered(self, record: Record, payload: Any) -> None:
        """The central system has a record."""
        if self._observer is not None:
            self._observer.record_answered(self._identity, record, payload)
        self.transactions.answered(record, payload)

    def record_answered_again(self, record: Record, payload: Any) -> None:
        """It says so once more."""
        if self._observer is not None and record.ids:
            self._observer.answered_late(self._identity, record.ids[-1], payload)

    def record_given_up(self, record: Record, error: CallFailed) -> None:
        """It never will."""
        if self._observer is not None:
            self._observer.record_given_up(self._identity, record, error.code)
        self.transactions.given_up(record, error)

    def call_sent(self) -> None:
        """A CALL of ours goes out."""
        self.boot.call_sent()

    def memory_exhausted(self, message: str) -> None:
        """Not everything could be kept."""
        self.complain(message)
        self.security_events.report("MemoryExhaustion", message)

    def outbox_changed(self) -> None:
        """One record less waits."""

    # --- core.boot.Registrar ------------------------------------------------------------------------

    def registered(self, registration: Registration, interval_s: int, before: Registration) -> None:
        """BootNotification was answered: after acceptance everybody's status goes out first (errata 3.22)."""
        self.connection.answered()
        if self._observer is not None:
            self._observer.registered(self._identity, registration is Registration.ACCEPTED)
            self.session.held_back()
        if registration is Registration.ACCEPTED:
            self.connectors.accepted_once = True
            self.connectors.limiter.purge()
            self.statuses.report_all()
            self.updates.report()
            self.uploads.registered()
            self.security_events.registered()
            self.certificates.registered()
            self.turn.settle_all()
        else:
            self.outbox.hush(wholly=registration is Registration.REJECTED)
        self.notify("registration", status=registration.value, interval_s=interval_s)

    def boot_failed(self, error: CallFailed) -> None:
        """BootNotification brought no answer, or none that can be used, and will be sent again."""
        if error.delivered and error.code != INVALID_ANSWER:  # else it was told already
            self.complain_once(f"BootNotification failed: {error}"[:500])

    def heartbeat_answered(self) -> None:
        """The central system answers: it may want to know now what it did not take before."""
        self.connection.answered()
        if self.accepted:
            self.statuses.report_unacknowledged()

    def time_corrected(self, by_s: float, first: bool) -> None:
        """UTC has moved: everything that depends on it asks again.

        What happened since this start is told in the corrected time, if until now that was only a guess.
        """
        if first:
            self.transactions.shift(by_s)
        self.security_events.time_corrected(by_s, first)
        self.meter_values.rearm_aligned()
        self.turn.settle_all()

    # --- domain.connectors.ConnectorListener --------------------------------------------------------

    def connector_changed(self, connector: Connector) -> None:
        """Facts may have changed."""
        self.statuses.refresh(connector.id)
        self.updates.connector_changed()
        if self._notify is not None:
            self._tell_limit(connector)

    def transaction_started(
        self, connector: Connector, transaction: Transaction, reading: MeterReading
    ) -> None:
        """A transaction exists from now on."""
        self.transactions.started(connector, transaction, reading)
        self.statuses.follow(connector.id, self.outbox.last)

    def transaction_stopped(
        self, connector: Connector, transaction: Transaction, reading: MeterReading | None
    ) -> None:
        """Its end is known."""
        self.transactions.stopped(connector, transaction, reading)
        self.statuses.follow(connector.id, self.outbox.last)

    def transaction_forgotten(self, transaction: Transaction) -> None:
        """It never was."""
        self.transactions.forgotten(transaction)

    def transaction_changed(self, transaction: Transaction, phase: str) -> None:
        """Tell whoever watches."""
        if self._observer is not None:
            evses = [c.evse for c in self.connectors.all if c.id == transaction.connector]
            evse = evses[0] if evses else None
            self._observer.transaction_changed(self._identity, transaction, phase, evse)
        if self._notify is None:
            return
        stopped = phase in ("stopped", "delivered")
        fields: dict[str, Any] = {
            "key": transaction.key,
            "connector": transaction.connector,
            "phase": phase,
            "id_tag": transaction.id_tag,
            "meter_wh": transaction.meter_stop_wh if stopped else transaction.meter_start_wh,
        }
        if transaction.csms_id is not None:
            fields["transaction_id"] = transaction.csms_id
        if stopped:
            fields["reason"] = transaction.reason
        self._notify("transaction", fields)

    def status_changed(self, connector_id: int, status: str, error_code: str) -> None:
        """Tell whoever watches."""
        self.notify("status", connector=connector_id, status=status, error_code=error_code)

    def _tell_limit(self, connector: Connector) -> None:
        now = (connector.permitted(), because(connector))
        if self.limits_told.get(connector.id, NO_LIMIT) != now:
            self.limits_told[connector.id] = now
            limit, why = now
            self.notify(
                "limit",
                connector=connector.id,
                offered_a=round(limit.current_a, 3),
                offered_w=offered_w(connector, limit),
                because=why,
            )

    # --- local_auth_list.Host -----------------------------------------------------------------------

    def list_conflict(self, conflict: Fault | None) -> None:
        """The central system contradicts its own list, or no longer does."""
        self.connectors.warning = conflict
        self.statuses.refresh(0)

    # --- commands -----------------------------------------------------------------------------------

    def remote_start(self, request: Any) -> Any:
        """RemoteStartTransaction, with its profile if smart charging is in use (§5.11)."""
        smart = self.smart_charging if self.configuration.supports(dispatch.SMART_CHARGING) else None
        if request.connector_id is None and self.compatibility.remote_start_without_connector == "reject":
            return call_result.RemoteStartTransaction(status=RemoteStartStopStatus.rejected)
        return self.transactions.on_remote_start_transaction(request, self.accepted, smart)

    def restart_asked(self, reason: str) -> bool:
        """Reset.req: hand it to whoever can restart this station."""
        if self._going_down is not None or self.updates.installing:
            return False
        return self.on_restart(reason)

    def wind_down(self, reason: str, then: Callable[[], None], within_s: float, clock: Clock) -> None:
        """End every transaction with `reason`, deliver what can be delivered, then call `then` once.

        `within_s` on `clock` bounds the wait; what is not delivered by then is in the store. `then` may come
        inside a turn, so closing this charge point has to wait for the next one. A second call takes the
        place of the first.
        """
        already, self.connectors.going_down = self.connectors.going_down, True
        if not already and reason != "PowerLoss":
            self.security_events.report("ResetOrReboot", reason)  # told after the restart
        if self._going_down is not None:
            self._going_down.cancel()
        for connector in self.connectors.all:
            connector.claim = None
            connector.stop_asked(reason)
        self._going_down = GoingDown(self, then, clock)
        self._going_down.wait(within_s)

    def _configuration_changed(self, name: str) -> None:
        """A key has a new value: let it take effect at once."""
        if name == "HeartbeatInterval":
            self.boot.interval_changed()
        elif name == "MeterValueSampleInterval":
            self.meter_values.rearm_samples()
        elif name == "ClockAlignedDataInterval":
            self.meter_values.rearm_aligned()
        elif name == "WebSocketPingInterval":
            self.on_ping_interval(self.configuration.ping_interval_s)
        elif name in ("TransactionMessageAttempts", "TransactionMessageRetryInterval"):
            self.outbox.retry_rule_changed()
        elif name == "LocalAuthListEnabled":
            self.local_auth_list.switched()
        elif name == "DisableSecurityEventNotifications":
            self.security_events.report("ReconfigurationOfSecurityParameters", name)
            self.security_events.pump()
        else:
            self.turn.settle_all()

    def close(self) -> None:
        """Let go of hardware and timers; what must be remembered is in the store."""
        for connector in self.connectors.all:
            connector.evse.listener = None
        self.boot.close()
        self.uploads.close()
        self.security_events.close()
        self.operations.close()
        self.updates.close()
        self.certificates.close()
        self.session.close()
        self.statuses.close()
        self.meter_values.close()
        self.outbox.close()
        self.connectors.close()
        if self._going_down is not None:
            self._going_down.cancel()


def _nothing(*_: object) -> None:
    return


def _not_possible(reason: str) -> bool:
    return False
