"""Simulated hardware: vehicles as data, and the station's parts as drivers like any other."""
