"""Generations: fleets of identical servers, made once and never changed."""
