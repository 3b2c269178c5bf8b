"""Pure functions for times, keys, segments, numbers, query strings, tokens and topics. No I/O."""
