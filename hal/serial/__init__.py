"""Devices on a serial line of their own: the OpenEVSE controller and card readers."""
