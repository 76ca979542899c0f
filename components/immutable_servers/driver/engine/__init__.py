"""The Pulumi CLI: runs it, follows its events, translates its errors, reads its state."""
