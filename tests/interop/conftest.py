"""Each foreign library in turn, or the reason why it does not take part."""

from __future__ import annotations

import pytest

from tests.interop.libraries import LIBRARIES, Library

pytest.register_assert_rewrite("tests.interop.rig")


@pytest.fixture(params=LIBRARIES, ids=[library.name for library in LIBRARIES])
def library(request: pytest.FixtureRequest) -> Library:
    """A library whose server can be started."""
    chosen: Library = request.param
    if missing := chosen.missing():
        pytest.skip(missing)
    if not chosen.built():
        pytest.skip(f"{chosen.name} was not built: `make interop` builds it, or says why it could not")
    return chosen
