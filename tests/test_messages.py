"""The snapshot of wording: what it holds, what it leaves out, and that another wording fails."""
import collections

import pytest

from tests.messages import MESSAGES, ROOT, normalised, refuses, refusing_tests


def test_the_file_holds_tests_that_there_are():
    """After a test was renamed or removed, --update-messages of its file puts it right."""
    assert {test.partition("[")[0] for test in MESSAGES.known} <= refusing_tests()


def test_paths_processes_and_layers_are_left_out(tmp_path):
    said = normalised(f"{tmp_path}/run is held by process 4711 on 127.0.0.1:8080", MESSAGES.base)
    assert said == "TMP/run is held by process N on 127.0.0.1:N"
    assert normalised("dense_17 gave 0.123456, not 3.5 or 1000") == (
        "dense gave 0.123, not 3.5 or 1000")
    assert normalised(f"{ROOT}/README.md") == "ROOT/README.md"


@pytest.fixture
def apart(monkeypatch):
    """What this test finds stays out of the file."""
    monkeypatch.setattr(MESSAGES, "found", collections.defaultdict(list))
    monkeypatch.setattr(MESSAGES, "updating", False)


def test_another_wording_fails_and_says_how_it_is_accepted(apart, monkeypatch):
    monkeypatch.setattr(MESSAGES, "known", {MESSAGES.test: ["steps must be 1; got 0"]})
    with refuses(ValueError, "steps"):
        raise ValueError("steps must be 1; got 0")
    monkeypatch.setattr(MESSAGES, "seen", 0)
    with pytest.raises(pytest.fail.Exception, match="--update-messages") as failed:
        with refuses(ValueError, "steps"):
            raise ValueError("steps must be one; got 0")
    assert "- steps must be 1; got 0" in str(failed.value)
    with pytest.raises(pytest.fail.Exception, match="--update-messages"):  # a second one
        with refuses(ValueError, "steps"):
            raise ValueError("steps must be 1; got 0")


def test_the_type_and_the_argument_are_asked_for(apart):
    with pytest.raises(AssertionError, match="'steps' is not named in: epochs must be 1"):
        with refuses(ValueError, "steps"):
            raise ValueError("epochs must be 1")
    with pytest.raises(KeyError):
        with refuses(ValueError, "steps"):
            raise KeyError("steps")


def test_what_is_written(monkeypatch, tmp_path):
    """New words over the old ones; tests of other files stay, those that are gone do not."""
    monkeypatch.setattr("tests.messages.PATH", tmp_path / "messages.json")
    monkeypatch.setattr("tests.messages.refusing_tests",
                        lambda: {"a.py::x", "a.py::gone", "a.py::not_run", "b.py::y"})
    monkeypatch.setattr(MESSAGES, "known", {"a.py::x": ["old"], "a.py::gone": ["old"],
                                            "a.py::not_run": ["old"], "b.py::y": ["old"],
                                            "b.py::refuses_no_more": ["old"]})
    MESSAGES.write({"a.py::x": ["new"], "a.py::z": []}, {"a.py::x", "a.py::z", "a.py::not_run"})
    assert type(MESSAGES)().known == {"a.py::x": ["new"], "a.py::not_run": ["old"],
                                      "b.py::y": ["old"]}
