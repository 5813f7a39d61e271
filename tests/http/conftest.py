import pytest

from rig import Cas


@pytest.fixture(scope="module")
def cas():
    with Cas() as c:
        yield c
