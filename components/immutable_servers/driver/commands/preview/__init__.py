"""`preview`: what an update would do and why, said before anything is built."""
