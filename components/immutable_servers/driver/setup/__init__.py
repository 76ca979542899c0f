"""Brings to the machine what a stack needs: finds each part, lists what is missing, installs it."""
