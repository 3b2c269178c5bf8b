"""Stores, reads, changes and removes points."""
