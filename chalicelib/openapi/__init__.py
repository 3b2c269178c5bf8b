"""Makes the OpenAPI document of the API. Nothing here is loaded before somebody asks for the document.

The route rows say who may call an operation and how often, and the schemas of bodies what it takes. ``operations`` adds
what only readers of the document need: the shape of each answer, and the parameters of the query string.
"""
