"""Devices, their parameters, actions and MQTT messages, and their erasure."""
