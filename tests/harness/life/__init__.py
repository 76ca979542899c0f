"""The life of a generation, as every target must be able to live it."""
