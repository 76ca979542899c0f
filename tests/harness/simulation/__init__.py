"""A simulated engine, target, checkout and clock in one process: a run takes milliseconds.

The product's own program, planning, ledger and providers run unchanged. What they would ask of
Pulumi is in `stand_in/`, of the disk in `memory.py`, of the rest of the machine in `machine.py`.
The real engine plays the same operations (`tests/engine/test_sequences.py`), so that the simulation
cannot drift from it.
"""
