"""Images: baked once for each version, found by it ever after."""
