import inspect

import pytest
from tagoio_sdk import Resources

from tests.cloud.deployment import Deployment
from tests.program import Program


@pytest.fixture(scope="session", params=["embedded", pytest.param("cloud", marks=pytest.mark.cloud)])
def server(request, tmp_path_factory):
    """The embedded mode, or a real deployment, over real HTTP, for all tests of the official clients."""
    is_cloud = request.param == "cloud"
    found = Deployment() if is_cloud else Program(tmp_path_factory.mktemp("contract") / "data")
    yield found
    found.close()


@pytest.fixture
def resources(server, monkeypatch):
    """TagoIO's Python client with a profile token."""
    monkeypatch.setenv("TAGOIO_API", server.url)
    return Resources({"token": server.profile_token})


def own_methods(module):
    """Return the names of the public methods that a class of the client defines itself."""
    own = {name for name, _ in inspect.getmembers(module, inspect.isfunction) if name in vars(module)}
    return {name for name in own if not name.startswith("_")}
