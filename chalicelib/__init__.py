"""Decant: a device and data API for the Internet of Things, on AWS Lambda or on one machine."""

__version__ = "0.1.0"
