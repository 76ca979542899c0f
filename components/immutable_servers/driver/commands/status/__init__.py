"""`status`: what exists and what serves, and what was changed by hand."""
