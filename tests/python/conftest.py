"""What tests of the package share."""
import os
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def root() -> pathlib.Path:
    return ROOT


@pytest.fixture
def program() -> str:
    return os.environ.get("SYMMA_PROGRAM", str(ROOT / "build/release/symma"))


@pytest.fixture
def wrong():
    """wrong(call, place, wrong, remedy): the call is a UserError whose three parts hold these words."""
    import symma

    def check(call, place: str, what: str, remedy: str = "") -> None:
        with pytest.raises(symma.UserError) as caught:
            call()
        e = caught.value
        assert isinstance(e, ValueError)
        assert place in e.place and what in e.wrong and remedy in e.remedy, (e.place, e.wrong, e.remedy)
        assert "\n" not in str(e) and str(e).startswith(e.place + ": " + e.wrong)

    return check
