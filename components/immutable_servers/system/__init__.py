"""This machine: processes, files, locks, interrupts, places; nothing of the domain."""
