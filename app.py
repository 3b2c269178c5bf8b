"""The Chalice app: middleware, then blueprints."""

import os

from chalice.app import Chalice

from chalicelib import http
from chalicelib.routes import actions, chunks, data, devices, info, params, tokens

app = Chalice(app_name="decant")
app.register_middleware(http.envelope, "http")
for blueprint in (data.bp, devices.bp, chunks.bp, tokens.bp, params.bp, actions.bp, info.bp):
    app.register_blueprint(blueprint)

if "AWS_CHALICE_CLI_MODE" in os.environ:  # the command line makes the API's document; Lambda does not
    from deploy import document

    document.install(app)
