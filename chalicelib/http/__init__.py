"""Between API Gateway's requests and the services: the row of a route, requests in, answers out."""
