"""What targets share: logins, keys, launch data, leftovers, locks."""
