"""Sockets with bounds, monitors, keys."""
