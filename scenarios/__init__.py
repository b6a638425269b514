"""Scripted situations: what happens at a station and what must be seen on the wire."""
