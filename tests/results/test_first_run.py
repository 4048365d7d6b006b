"""`make run`: its commands, what it prints, and what its last lines say."""
import json
import subprocess
import sys

import pytest

from results import first_run
from tests.support import ROOT
from tfisovae import files
from tfisovae.__main__ import parser
from tfisovae.commands import recipes

FACES = ROOT / first_run.PUBLISHED
TOY = ROOT / "results" / "toy" / "recipe-sse-seed0"


def test_make_run_does_nothing_else():
    # Inside `make test` it would also print the directory.
    said = subprocess.run(["make", "-n", "--no-print-directory", "run", "READY="], cwd=ROOT,
                          capture_output=True, text=True, check=True).stdout
    assert len(said.splitlines()) == 1 and "-m results.first_run runs/first" in said


def test_its_commands_are_taken_and_lead_to_each_other(capsys):
    asked = [recipes.parse(parser(name), options)
             for _, (name, *options), _ in first_run.trainings("runs/first")]
    name, *options = first_run.measuring("runs/first")
    page = parser(name).parse_args(options)
    assert page.directories == [*(args.run_dir for args in asked), first_run.PUBLISHED]
    assert len(page.titles) == len(page.num_examples) == 3 and (FACES / "model").is_dir()
    assert all(args.num_eval == 0 for args in asked)


@pytest.fixture
def measured(tmp_path):
    """Writes what the run has measured, with a probe of faces of that gain; returns where."""
    def make(gain=20.0, precision=None):
        probe = {"steps": 150, "gain": gain, "standard_error": 0.5}
        for name, source in (("toy", TOY), ("faces", FACES), ("decomposed", FACES)):
            saved = files.read_json(source / "isometry.json")
            if name == "faces":
                saved |= {"steps": 350, "loss": 300.0, "evidence": {"probes": [probe]}}
            if name == "toy" and precision:
                saved["precision_mean"] = precision
            place = tmp_path / "measured" / name
            place.mkdir(parents=True, exist_ok=True)
            (place / "isometry.json").write_text(json.dumps(saved))
        return tmp_path
    return make


def test_the_last_lines_say_what_was_seen(measured):
    theory = files.read_json(TOY / "isometry.json")["predicted_precision"]
    text = "\n".join(first_run.conclusions(measured(precision=[1.1 * p for p in theory])))
    assert "They agree to 10.0 %" in text and "Verdict on the training: Converged" in text
    assert "after 350 steps: the loss is 300 nats" in text
    assert "falls by 20 +- 0.5 nats" in text and "Most of the training is still to come." in text
    assert "after 20,000 steps" in text and "It is not known whether" in text
    assert "not isometric" in text


@pytest.mark.parametrize("gain, word", [(0.5, "falls"), (-3.0, "rises")])
def test_a_probe_without_a_clear_gain_decides_nothing(measured, gain, word):
    text = "\n".join(first_run.conclusions(measured(gain)))
    assert f"{word} by {abs(gain):.2g}" in text and "decides nothing" in text
    assert "still to come" not in text


def run(monkeypatch, tmp_path, train, measure=None):
    monkeypatch.setattr(first_run, "_train", train)
    monkeypatch.setattr(subprocess, "run", measure or (lambda *args, **options: None))
    first_run.main([str(tmp_path)])


def test_it_prints_few_lines(measured, monkeypatch, capfd):
    """The commands write into a file, also where they write to the descriptors. The last two lines
    have paths.
    """
    def train(log, command, probe):
        with first_run._said_into(log):
            print("a table")
            subprocess.Popen(["echo", "native words"]).wait()

    run(monkeypatch, measured(), train)
    shown = capfd.readouterr()
    lines = (shown.out + shown.err).splitlines()
    assert len(lines) <= 40 and max(map(len, lines[:-2])) <= 100
    assert "a table" not in shown.out and "native" not in shown.out + shown.err


def test_a_command_that_fails_ends_it_with_its_last_lines(monkeypatch, tmp_path):
    def train(log, command, probe):
        print("no room on the disk", file=log)
        sys.exit(1)

    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, tmp_path, train)
    assert "no room on the disk" in str(stop.value.code)
