"""What a person may configure about a station: models, reading, example and schema."""

from chargepoint.config.compatibility import BehaviourConfig, CompatibilityConfig
from chargepoint.config.connection import CsmsConfig, ReconnectConfig, TlsConfig
from chargepoint.config.hardware import ConnectorConfig, DriverConfig, ReaderConfig
from chargepoint.config.model import NameplateConfig, StationConfig
from chargepoint.config.reading import load, parse

__all__ = [
    "BehaviourConfig",
    "CompatibilityConfig",
    "ConnectorConfig",
    "CsmsConfig",
    "DriverConfig",
    "NameplateConfig",
    "ReaderConfig",
    "ReconnectConfig",
    "StationConfig",
    "TlsConfig",
    "load",
    "parse",
]
