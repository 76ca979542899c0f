"""Traffic: the one thing that changes in place, and the verdict that ends a run."""
