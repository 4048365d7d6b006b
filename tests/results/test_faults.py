"""A sample of the faults that `make faults` tries in full: nothing is lost."""
import signal

import pytest

from results import faults

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    return faults.Suite(tmp_path_factory.mktemp("faults"), sample=2)


@pytest.mark.parametrize("kind",
                         ["killed", "damaged", "measured", "disk_full", "clock", "read_only"])
def test_nothing_is_lost(suite, kind):
    before = sum(tally.tried for tally in suite.tallies.values())
    getattr(suite, kind)()
    assert sum(tally.tried for tally in suite.tallies.values()) > before
    assert suite.losses() == []


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_signals_to_the_command(suite, signum):
    """With its exit status, within 10 s, between any two file operations."""
    suite.signalled(moments=1, signals=[signum])
    assert suite.losses() == [] and suite.slowest < faults.SECONDS_TO_STOP


def test_the_suite_sees_a_loss(suite, tmp_path):
    """A model that is half of one, passed for whole, is counted as lost; so is a file that a
    refusal changed.
    """
    tally = faults.Tally()
    path = suite._copy(suite.whole, "other")
    expected = {name: value + 1 for name, value in suite.weights.items()}
    tally.count("other weights", expected, path)
    assert tally.as_dict() == {"tried": 1, "survived": 0, "refused": 0, "lost": 1}
