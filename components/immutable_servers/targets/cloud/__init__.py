"""Mechanics of account-wide APIs, which the cloud targets share: no SDK, no cloud's own word."""
