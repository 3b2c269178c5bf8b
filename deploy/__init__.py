"""Deploys to AWS what ``chalice deploy`` cannot: tables, usage plans, API keys, alarms, parts of the API document."""
