"""Measurements of the service, each held against its goal."""
