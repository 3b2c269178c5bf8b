"""Profiles, which own the devices."""
