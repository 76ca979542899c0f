"""Servers that are never changed, only replaced."""
