"""Devices on Modbus: the bus and what speaks over it."""
