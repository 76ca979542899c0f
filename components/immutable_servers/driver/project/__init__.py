"""The project of a checkout: its files, and a stack that was opened."""
