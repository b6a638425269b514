"""Electricity only: connectors, pilot, contactor, meter, vehicle and time; nothing here knows OCPP."""
