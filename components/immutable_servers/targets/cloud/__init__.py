"""Mechanics of account-wide APIs, which the cloud targets share."""
