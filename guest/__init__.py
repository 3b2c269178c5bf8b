"""Builds the engine of payload parsers, once, before the project runs. Not a part of what runs."""
