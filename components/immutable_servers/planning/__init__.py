"""Decides which generation each service gets in a run, from plain values alone."""
