"""What stands on either side of the gate, wherever a test has none of its own."""
import pytest

from directories import Asker
from gate import ActiveDirectory, echo_origin


@pytest.fixture
def ad(request):
    """Knows the USERS of the test's file."""
    d = ActiveDirectory(request.module.USERS)
    yield d
    d.close()


@pytest.fixture
def asker():
    """asker(directories, groups): closed, and its exit looked at, when the test is over."""
    made = []

    def make(*args, **kw):
        made.append(Asker(*args, **kw))
        return made[-1]

    yield make
    for a in made:
        a.close()


@pytest.fixture
def origin():
    with echo_origin() as o:
        yield o
