"""Devices and what belongs to them: parameters, actions, erasures."""
