"""The commands of `./immutable`: set-up, the engine's runs, and what they print."""
