"""Plans, which limit what a profile may use, and counters, which hold what it has used."""
