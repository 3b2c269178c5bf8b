"""Points: storing, reading, changing and removing them."""
