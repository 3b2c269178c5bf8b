"""Connects API Gateway to the services: mounts the route table, reads requests and writes answers."""
