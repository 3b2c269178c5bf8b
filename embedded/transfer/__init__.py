"""Import and export of points over HTTP: from and to files, and from TagoIO. Any server that speaks the API will do."""
