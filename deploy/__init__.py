"""What ``chalice deploy`` cannot make: tables, usage plans, keys, alarms, and what its API document leaves out."""
