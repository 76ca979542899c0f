"""Measurements, load and rings of tests: what only a checkout has."""
