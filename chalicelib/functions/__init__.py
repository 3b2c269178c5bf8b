"""The Lambda functions beside the HTTP handler, each in its own file. None of them loads a route."""
