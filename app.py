"""The Chalice app: middleware, then blueprints."""

from chalice.app import Chalice

from chalicelib import http
from chalicelib.routes import chunks, data, devices, info, params, tokens

app = Chalice(app_name="decant")
app.register_middleware(http.envelope, "http")
for blueprint in (data.bp, devices.bp, chunks.bp, tokens.bp, params.bp, info.bp):
    app.register_blueprint(blueprint)
