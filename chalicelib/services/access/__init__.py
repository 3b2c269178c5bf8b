"""Who is calling: tokens, callers and MQTT client ids."""
