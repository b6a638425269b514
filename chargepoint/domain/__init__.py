"""What a charge point is and does, without any OCPP version, I/O or real time."""
