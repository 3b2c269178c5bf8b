"""The MQTT broker of the embedded mode, for MQTT 3.1, 3.1.1 and 5.

Each device has a topic space of its own. The broker acknowledges a message after the store has committed it.
"""
