"""OCPP-J framing without I/O: frames, one CALL at a time, and the outbox of what must not get lost."""
