import pytest

from tests.cloud.deployment import Deployment
from tests.program import Program


@pytest.fixture(scope="session", params=["embedded", pytest.param("cloud", marks=pytest.mark.cloud)])
def server(request, tmp_path_factory):
    """The embedded mode, or a real deployment, over real HTTP, for all tests of the official clients."""
    is_cloud = request.param == "cloud"
    found = Deployment() if is_cloud else Program(tmp_path_factory.mktemp("contract") / "data")
    yield found
    found.close()
