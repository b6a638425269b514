"""A charge point: OCPP 1.6-J client, smart charging and simulator over one hardware abstraction layer."""
