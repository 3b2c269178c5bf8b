"""The Chalice app: mounts the route table."""

import os

from chalice.app import Chalice

from chalicelib import routes
from chalicelib.http import route

app = Chalice(app_name="decant")
route.mount(app, routes.ALL)

if "AWS_CHALICE_CLI_MODE" in os.environ:  # Chalice's command line deploys; Lambda does not
    from deploy import hook

    hook.install(app, routes.ALL)
