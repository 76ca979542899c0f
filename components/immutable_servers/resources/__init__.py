"""The base classes of our dynamic resources, and their progress lines."""
