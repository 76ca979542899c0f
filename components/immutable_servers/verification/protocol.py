"""What the runner and its pytest plugin agree on; imported by both, so without pytest."""

EXPECTED_VARIABLE = "IMMUTABLE_EXPECTED"
"""Names a JSON file with what is expected of the server under test."""
SECONDS_VARIABLE = "IMMUTABLE_EVENTUALLY_SECONDS"
"""How long after its first failure a check marked `eventually` may be repeated."""
REPEATED = "repeated"
"""The JUnit property that says how often a check was repeated."""
