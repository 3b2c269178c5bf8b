"""``python -m embedded simulate``: devices that are not there, so that a newcomer sees a living console."""
