"""Measures any server that speaks POST and GET /data: the driver, the peer, and what comes out."""
