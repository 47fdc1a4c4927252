"""What the tests of evaluation share."""

import pytest
from helpers import chromium as browser


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """A headless Chromium; tests are skipped where none is installed."""
    program = browser.find()
    if program is None:
        pytest.skip(f"no browser: install one of {', '.join(browser.PROGRAMS)} to check the report page in it")
    return browser.Chromium(program, tmp_path_factory.mktemp("chromium"))
