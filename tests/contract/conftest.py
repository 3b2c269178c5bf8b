import pytest

from tests.program import Program


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The embedded mode, over real HTTP, for all tests of the official clients."""
    program = Program(tmp_path_factory.mktemp("contract") / "data")
    yield program
    program.close()
