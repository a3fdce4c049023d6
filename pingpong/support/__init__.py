"""Endpoints, limits, signals, statistics: what makes it strong."""
