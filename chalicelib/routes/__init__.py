"""One blueprint per noun: who is calling, what they sent, which service answers."""
