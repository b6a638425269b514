"""All connectors of one station, and what they share: time, store, turn, limits, the operator's choices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from chargepoint.domain.connector import Connector
from chargepoint.domain.ending import Finishing
from chargepoint.domain.limiter import Limiter
from chargepoint.domain.ports import Behaviour, Policy, Store
from chargepoint.domain.profiles import ZeroAfterN
from chargepoint.domain.reception import Authorities, Reception
from chargepoint.domain.reservations import Reservations
from chargepoint.domain.site import SiteLimit
from chargepoint.domain.time import StationTime
from chargepoint.domain.transaction import KIND as TRANSACTION
from chargepoint.domain.transaction import Transaction
from chargepoint.domain.turn import Turn
from hal.api import Evse, Fault, MeterReading

CONNECTOR = "connector"
"""Under this kind the store keeps availability and what else a connector must remember."""


class ConnectorListener(Protocol):
    """What a protocol version hears from the domain."""

    def connector_changed(self, connector: Connector) -> None:
        """Facts may have changed; also called when they have not."""

    def transaction_started(
        self, connector: Connector, transaction: Transaction, reading: MeterReading
    ) -> None:
        """A transaction exists from now on; store what has to be sent."""

    def transaction_stopped(
        self, connector: Connector, transaction: Transaction, reading: MeterReading | None
    ) -> None:
        """Its last reading is known; store what has to be sent."""

    def transaction_forgotten(self, transaction: Transaction) -> None:
        """It could not be stored, so it never was: take back what was stored for it."""


class Connectors:
    """The connectors of one station, numbered from 1, and their common ground."""

    __slots__ = (
        "_count",
        "accepted_once",
        "all",
        "behaviour",
        "boot",
        "faults",
        "going_down",
        "limiter",
        "listener",
        "operative",
        "policy",
        "reception",
        "reservations",
        "shared_reader",
        "site",
        "store",
        "time",
        "turn",
        "updating",
        "warning",
    )

    def __init__(
        self,
        evses: Sequence[Evse],
        time: StationTime,
        turn: Turn,
        store: Store,
        policy: Policy,
        behaviour: Behaviour,
        listener: ConnectorListener,
        authorities: Authorities,
        boot: int,
        shared_reader: bool,
        zero_after_n: ZeroAfterN = "keep",
    ) -> None:
        self.time = time
        self.turn = turn
        self.store = store
        self.policy = policy
        self.behaviour = behaviour
        self.listener = listener
        self.boot = boot
        self.shared_reader = shared_reader  # one card reader serves several connectors
        self.accepted_once = False  # the central system has accepted this station at least once, ever
        self.going_down = False
        self.updating = False  # new firmware comes: nobody may begin to charge, whatever was commanded
        self.operative = True  # the station as a whole, connector 0
        self.faults: tuple[Fault, ...] = ()  # of the station as a whole
        self.warning: Fault | None = None  # about the station, but from no hardware: charging goes on
        self.site: SiteLimit | None = None  # what the building leaves
        self._count = 0
        self.limiter = Limiter(self, zero_after_n)
        self.reception = Reception(self, authorities)
        self.reservations = Reservations(self)
        self.all = tuple([Connector(n, evse, self) for n, evse in enumerate(evses, 1)])
        turn.connectors = self.all
        turn.share = self.limiter.share
        self._recall()

    def __getitem__(self, connector_id: int) -> Connector:
        """The connector of that number; raises KeyError if there is none."""
        if not 1 <= connector_id <= len(self.all):
            raise KeyError(connector_id)
        return self.all[connector_id - 1]

    @property
    def faulted(self) -> bool:
        """Something at the station itself prevents charging everywhere."""
        return bool(self.faults) and any(fault.blocking for fault in self.faults)

    @property
    def troubles(self) -> tuple[Fault, ...]:
        """Everything to be told about the station as a whole."""
        others = [self.warning, None if self.site is None else self.site.fault]
        if others == [None, None]:
            return self.faults
        return (*self.faults, *(fault for fault in others if fault is not None))

    @property
    def finishes_unattended(self) -> bool:
        """A cable in and nobody authorised in time becomes Finishing (errata 3.20)."""
        choice = self.behaviour.preparing_timeout
        return choice == "finishing" or (choice == "auto" and self.shared_reader)

    @property
    def in_use(self) -> bool:
        """Somebody charges or was authorised to."""
        return any(c.transaction is not None or c.claim is not None for c in self.all)

    def may_charge(self) -> bool:
        """Transactions may start at all (OCPP 1.6 §4.2.1)."""
        return not self.going_down and (self.accepted_once or self.behaviour.transactions_before_accepted)

    def next_transaction_key(self) -> str:
        """A key for a new transaction: unique for ever, ascending with time."""
        self._count += 1
        return f"{self.boot:08d}-{self._count:06d}"

    def running(self) -> list[Transaction]:
        """Transactions of which no end was noted."""
        return [c.transaction for c in self.all if c.transaction is not None and c.transaction.running]

    def save(self, transaction: Transaction) -> None:
        """Write a transaction at the next commit."""
        self.store.put(TRANSACTION, transaction.key, transaction.document())

    def forget(self, transaction: Transaction) -> None:
        """A transaction that could not be stored never was: nothing of it remains to be stored."""
        self.store.delete(TRANSACTION, transaction.key)
        self.listener.transaction_forgotten(transaction)

    def save_connector(self, connector: Connector) -> None:
        """Write what a connector must remember at the next commit."""
        self.store.put(
            CONNECTOR,
            str(connector.id),
            {
                "operative": connector.operative,
                "scheduled": connector.scheduled,
                "finishing": None if connector.finishing is None else connector.finishing.value,
                "held_by": connector.held_by,
            },
        )

    def station_availability(self, operative: bool) -> None:
        """Connector 0: available or not, whatever its connectors are (OCPP 1.6 §5.2)."""
        self.operative = operative
        self.store.put(CONNECTOR, "0", {"operative": operative})

    def _recall(self) -> None:
        """Bring back what a restart must not change (OCPP 1.6 §4.9, Finishing and availability)."""
        station = self.store.get(CONNECTOR, "0")
        self.operative = station is None or bool(station["operative"])
        for connector in self.all:
            document = self.store.get(CONNECTOR, str(connector.id))
            if document is not None:
                connector.operative = bool(document["operative"])
                connector.scheduled = bool(document["scheduled"])
                if document["finishing"] is not None and connector.occupied:
                    connector.finishing = Finishing(document["finishing"])
                if (held_by := document.get("held_by")) is not None and connector.occupied:
                    connector.held_by = held_by[0], held_by[1]
        self.reservations.recall()

    def close(self) -> None:
        """Cancel every timer; the hardware stays as it is."""
        for connector in self.all:
            connector.close()
        self.reception.close()
        self.reservations.close()
        self.limiter.close()
        self.turn.close()
