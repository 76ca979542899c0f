"""Pulumi's state: where it is, what it holds, and which stack belongs to it."""
