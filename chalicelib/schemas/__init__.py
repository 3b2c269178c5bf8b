"""The shapes on the wire. Schemas check what clients send, and translate it once into our words."""
