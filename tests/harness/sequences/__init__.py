"""Random operations on a project, and what must hold after each, simulated or on the engine."""
