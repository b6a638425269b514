"""Devices that are not there: real bytes on a pseudo terminal or TCP, with faults on demand."""
