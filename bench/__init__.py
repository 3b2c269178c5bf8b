"""Measures any server that serves POST and GET /data, and compares Decant with a simple server."""
