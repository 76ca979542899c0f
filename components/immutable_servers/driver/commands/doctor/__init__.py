"""`doctor`: what the machine has, and whether a stack's target has what the stack wants."""
