"""The Core feature profile (OCPP 1.6 §3.3)."""
