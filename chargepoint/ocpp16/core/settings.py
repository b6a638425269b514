"""GetConfiguration and ChangeConfiguration: the central system reads and changes the station's settings."""

from __future__ import annotations

from typing import Literal

from ocpp.exceptions import OccurenceConstraintViolationError
from ocpp.v16 import call, call_result
from ocpp.v16.enums import ConfigurationStatus

from chargepoint.ocpp16.configuration import Configuration
from chargepoint.ocpp16.keys import Key


class Settings:
    """The handlers of both messages.

    `too_many_keys` says what becomes of a request for more keys than GetConfigurationMaxKeys, of which the
    protocol says nothing: it is answered all the same, or with a CALLERROR.
    """

    __slots__ = ("_configuration", "_too_many_keys")

    def __init__(self, configuration: Configuration, too_many_keys: Literal["answer", "error"]) -> None:
        self._configuration = configuration
        self._too_many_keys = too_many_keys

    def on_get_configuration(self, request: call.GetConfiguration) -> call_result.GetConfiguration:
        """Report the keys asked for, in that order and each once, or all (OCPP 1.6 §5.8).

        A secret is left out of the full list and has no value when asked for. Raises
        `OccurenceConstraintViolationError`.
        """
        asked: list[str] = request.key or []
        if not asked:
            entries = [self._entry(key) for key in self._configuration.listed()]
            return call_result.GetConfiguration(configuration_key=entries)
        maximum = self._configuration.max_keys
        if len(asked) > maximum and self._too_many_keys == "error":
            raise OccurenceConstraintViolationError(f"{len(asked)} keys asked for, {maximum} are allowed")
        known: dict[str, dict[str, object]] = {}
        unknown: dict[str, str] = {}
        for name in asked:
            key = self._configuration.find(name)
            if key is None:
                unknown.setdefault(name.casefold(), name)
            elif key.name not in known:
                known[key.name] = self._entry(key)
        return call_result.GetConfiguration(
            configuration_key=list(known.values()), unknown_key=list(unknown.values()) or None
        )

    def on_change_configuration(self, request: call.ChangeConfiguration) -> call_result.ChangeConfiguration:
        """Change one value, or say why not (OCPP 1.6 §5.3)."""
        status = self._configuration.change(request.key, request.value)
        return call_result.ChangeConfiguration(status=ConfigurationStatus(status))

    def _entry(self, key: Key) -> dict[str, object]:
        entry: dict[str, object] = {"key": key.name, "readonly": self._configuration.readonly(key)}
        value = self._configuration.get(key.name)
        if value is not None:
            entry["value"] = value
        return entry
