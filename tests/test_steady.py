"""A second run of the suite is the first one again: nothing that it draws depends on luck."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings


@pytest.mark.skipif("MMSPEC_PROFILE" in os.environ, reason="somebody asked for another profile")
def test_what_the_suite_draws_is_always_the_same() -> None:
    assert settings.default is not None
    assert settings.default.derandomize
    assert settings.default.database is None
