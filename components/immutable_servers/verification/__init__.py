"""Verification: testinfra's verdict on a candidate, and the seal that follows it."""
