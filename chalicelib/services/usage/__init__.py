"""What a profile may use and has used: plans and counters."""
