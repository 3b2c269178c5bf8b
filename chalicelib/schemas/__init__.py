"""The shapes on the wire: what clients send, checked and translated once into our words."""
