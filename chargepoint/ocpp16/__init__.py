"""OCPP 1.6: what the domain's facts look like on the wire, and what the wire may ask of the domain."""
