"""The MQTT broker of the embedded mode: 3.1, 3.1.1 and 5, a topic space a device, acknowledging after the store."""
