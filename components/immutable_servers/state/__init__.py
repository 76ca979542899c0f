"""Pulumi's state: where it is, what it holds, and whose it is."""
