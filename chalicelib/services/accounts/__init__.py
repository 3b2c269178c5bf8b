"""Profiles: who owns the devices."""
