"""``check --live``: tries a deployed stage from outside, and prints a report that can be pasted into an issue."""
