"""Pure functions: time, keys, segments, numbers, query strings. No I/O at all."""
