"""The decision: which generation each service gets in this run, from plain values alone."""
