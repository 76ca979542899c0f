"""What the load run of `bench` is made of: servers that can take it, and who asks them."""
