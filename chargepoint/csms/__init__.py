"""The embedded central system, for demonstrations and tests."""

from chargepoint.csms.calls import CallFailed, CallTimeout, NotConnected
from chargepoint.csms.central_system import CentralSystem
from chargepoint.csms.events import Event
from chargepoint.csms.tls import ServerTls

__all__ = ["CallFailed", "CallTimeout", "CentralSystem", "Event", "NotConnected", "ServerTls"]
