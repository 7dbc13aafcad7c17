"""A slice of `make test-faults`: one fault of fifty in every command."""

import pytest

from tests.support.stage import REPOSITORY, child


@pytest.mark.slow
def test_nothing_that_was_good_is_lost_to_a_fault() -> None:
    done = child("-m", "tests.faults.every", "--every", "50", cwd=REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(" faults, 0 wrong")
