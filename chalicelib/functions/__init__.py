"""The Lambda functions beside the HTTP handler, one file each. None of them loads a route."""
