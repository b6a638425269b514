"""Local authorization list: SendLocalList, GetLocalListVersion, and answers at odds with the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ocpp.exceptions import PropertyConstraintViolationError
from ocpp.v16 import call, call_result
from ocpp.v16.enums import UpdateStatus, UpdateType

from chargepoint.domain.authorization import IdTagInfo
from chargepoint.domain.local_list import StoredList, Undo
from chargepoint.domain.ports import Store
from chargepoint.domain.turn import Turn
from chargepoint.ocpp16 import messages
from chargepoint.ocpp16.compatibility import Compatibility
from chargepoint.ocpp16.configuration import Configuration
from chargepoint.rpc.session import Later
from hal.api import Fault, FaultKind

PROFILE = "LocalAuthListManagement"

NOT_SUPPORTED = -1
"""What GetLocalListVersion answers where there are no lists (OCPP 1.6 §5.10)."""

Entries = Sequence[tuple[str, IdTagInfo | None]]
"""What was sent: identifiers, and what is known of each; None in a differential list removes it."""


class Host(Protocol):
    """The station as far as this profile needs it."""

    @property
    def turn(self) -> Turn:
        """What a handler does is stored at its end."""

    def list_conflict(self, conflict: Fault | None) -> None:
        """Connector 0 has this warning from now on, and no longer the one before; None: none."""


class LocalAuthList:
    """The handlers of the profile, and the list as the authorizer asks it (`domain.authorization.LocalList`).

    While LocalAuthListEnabled is false the list is kept, but neither consulted nor changed. A conflict stands
    as the warning of connector 0, and names the identifier of the last one, until the central system has
    sent a list that was accepted, the list is switched off, or the station restarts: from then on it says
    something else, or would have to contradict itself once more.
    """

    __slots__ = ("_compatibility", "_configuration", "_host", "_list")

    def __init__(
        self, store: Store, configuration: Configuration, compatibility: Compatibility, host: Host
    ) -> None:
        self._list = StoredList(store)
        self._configuration = configuration
        self._compatibility = compatibility
        self._host = host

    @property
    def in_use(self) -> bool:
        """The list is consulted and can be changed."""
        return self._configuration.supports(PROFILE) and self._configuration.boolean("LocalAuthListEnabled")

    # --- domain.authorization.LocalList -------------------------------------------------------------

    def lookup(self, id_tag: str) -> IdTagInfo | None:
        """The entry as it was sent, or None if there is none or the list is not in use."""
        return self._list.lookup(id_tag) if self.in_use else None

    def contradicted(self, id_tag: str) -> None:
        """Tell the central system that it has just judged a listed identifier otherwise (OCPP 1.6 §3.5.2)."""
        self._host.list_conflict(
            Fault(FaultKind.LIST_CONFLICT, blocking=False, info=f"{id_tag}: listed otherwise")
        )

    def switched(self) -> None:
        """LocalAuthListEnabled has changed: a list that does not count contradicts nothing."""
        if not self.in_use:
            self._host.list_conflict(None)

    # --- the central system -------------------------------------------------------------------------

    def on_get_local_list_version(self, request: call.GetLocalListVersion) -> call_result.GetLocalListVersion:
        """The version of the list, 0 if it is empty (OCPP 1.6 §5.10)."""
        version = self._list.version if self.in_use else NOT_SUPPORTED
        return call_result.GetLocalListVersion(list_version=version)

    def on_send_local_list(self, request: call.SendLocalList) -> call_result.SendLocalList | Later:
        """Replace or change the list as a whole, or not at all (OCPP 1.6 §5.15).

        Raises `PropertyConstraintViolationError` for an expiry date that is none.
        """
        if not self.in_use:
            return call_result.SendLocalList(status=UpdateStatus.not_supported)
        try:
            entries = [messages.listed(entry) for entry in request.local_authorization_list]
        except ValueError as error:
            raise PropertyConstraintViolationError(str(error)) from None
        version, full = request.list_version, request.update_type == UpdateType.full
        refusal = self._refusal(version, full, entries)
        if refusal is not None:
            return call_result.SendLocalList(status=refusal)
        if full:
            return self._kept(self._list.replace(version, _known(entries)))
        return self._kept(self._list.update(version, dict(entries)))

    def _refusal(self, version: int, full: bool, entries: Entries) -> UpdateStatus | None:
        """Why a list cannot be taken; None if it can (OCPP 1.6 §5.15, errata 3.52)."""
        if not full and version <= self._list.version:
            return UpdateStatus.version_mismatch
        if full and version <= 0 and (entries or version < 0):
            return UpdateStatus.failed
        twice = len({id_tag.casefold() for id_tag, _ in entries}) < len(entries)
        if twice or len(entries) > self._configuration.integer("SendLocalListMaxLength"):
            return UpdateStatus.failed
        known = _known(entries)
        strict = self._compatibility.full_list_entry_without_info == "failed"
        if full and strict and len(known) < len(entries):
            return UpdateStatus.failed
        length = len(known) if full else self._list.length_after(dict(entries))
        too_long = length > self._configuration.integer("LocalAuthListMaxLength")
        return UpdateStatus.failed if too_long else None

    def _kept(self, undo: Undo) -> Later:
        """Answer once it is known whether the store could keep the change; if not, the old list stays."""
        later, turn = Later(), self._host.turn

        def answer() -> None:
            if turn.stored:
                self._host.list_conflict(None)
            else:
                undo()
            status = UpdateStatus.accepted if turn.stored else UpdateStatus.failed
            later.answer(call_result.SendLocalList(status=status))

        turn.answer(answer)
        return later


def _known(entries: Entries) -> dict[str, IdTagInfo]:
    """The entries that say something of their identifier."""
    return {id_tag: info for id_tag, info in entries if info is not None}
