"""What stands on either side of the gate, wherever a test has none of its own."""
import pytest

from directories import Asker, made
from gate import ActiveDirectory, echo_origin


@pytest.fixture
def ad(request):
    """Knows the USERS of the test's file."""
    d = ActiveDirectory(request.module.USERS)
    yield d
    d.close()


@pytest.fixture
def asker():
    """asker(directories, groups)"""
    yield from made(Asker)


@pytest.fixture
def origin():
    with echo_origin() as o:
        yield o
