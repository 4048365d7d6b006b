"""The picture of how isometry emerges: what it is drawn from, and that its lines are where the
numbers are.
"""
import numpy as np
import pytest
from PIL import Image

from results import emergence
from tfisovae.callbacks import history

pytestmark = pytest.mark.slow

STEPS = [0, 10, 20, 40, 80, 160, 320]


def write(path, rows=None, **changed):
    """A history of three dimensions whose norm goes to .9, as the monitor writes it."""
    rows = STEPS if rows is None else rows
    columns = ("step", "num_examples", "active_dimensions", "norm", "predicted_norm", "cosine",
               "balance", "rate", "distortion", "importance_z0", "importance_z1", "importance_z2",
               "share")
    history.go_on(path, -1, columns)
    for step in rows:
        values = dict(
            zip(columns, [
                step, 16, 3, 0.9 - 0.5 /
                (1 + step), 0.95, 0.3, 1.1, 5.0, 0.1, 1.0, 2.0 + step, 0.01, 0.015
            ]))
        history.append(path, {**values, **changed})
    return path


def test_columns(tmp_path):
    found = emergence.columns(write(tmp_path / history.ISOMETRY, norm=float("nan")))
    assert found["step"].tolist() == STEPS and np.isnan(found["norm"]).all()
    np.testing.assert_allclose(found["importance"], [[1, 2 + step, 0.01] for step in STEPS])
    for rows in ([], [0]):
        with pytest.raises(
                ValueError,
                match=f"has {len(rows)} measurements, and a picture takes two.*--monitor_every"):
            emergence.columns(write(tmp_path / "few.csv", rows))


def test_running_means():
    """Constants stay, lines in log(step) stay away from the ends, NaNs are left out, and scatter
    falls.
    """
    steps = np.unique(np.geomspace(10, 10_000, 400).astype(int))
    np.testing.assert_allclose(emergence.smoothed(steps, np.full(len(steps), 3.0)), 3)
    line = emergence.smoothed(steps, np.log(steps))
    inner = slice(len(steps) // 3, -len(steps) // 5)
    np.testing.assert_allclose(line[inner], np.log(steps)[inner], atol=0.01)
    noise = np.random.default_rng(0).standard_normal(len(steps))
    noise[5] = np.nan
    assert np.isfinite(emergence.smoothed(steps, noise)).all() and emergence.smoothed(
        steps, noise)[inner].std() < 0.5
    assert np.isnan(emergence.smoothed(np.array([1, 2]), np.array([np.nan, np.nan]))).all()


def test_a_run_is_published_and_drawn_again(tmp_path, main):
    """The copy has the run's numbers; the picture has its curves at their values; of the copy alone
    the same picture is drawn.
    """
    run, out = tmp_path / "shapes", tmp_path / "out"
    run.mkdir()
    write(run / history.ISOMETRY)
    assert "Written" in main("results.emergence", run, "--out", out).stdout
    copy, picture = out / "shapes.csv", out / "shapes.png"
    np.testing.assert_array_equal(
        emergence.columns(copy)["importance"],
        emergence.columns(run / history.ISOMETRY)["importance"])
    before = np.asarray(Image.open(picture))
    picture.unlink()
    main("results.emergence", copy, "--out", out)
    np.testing.assert_array_equal(np.asarray(Image.open(picture)), before)
    norms, _, spectrum, *_ = emergence.figure(emergence.columns(copy)).axes
    drawn = {line.get_label(): line.get_ydata() for line in norms.lines}
    assert drawn["$E[1-\\sigma_j^2]$"] == pytest.approx([0.95] * 7)
    # By importance in the end.
    assert [line.get_ydata()[-1] for line in spectrum.lines] == pytest.approx([322, 1, 0.01],
                                                                              rel=1e-3)
    assert spectrum.get_yscale() == "log"


def test_a_run_that_was_not_monitored(tmp_path, main):
    done = main("results.emergence", tmp_path, "--out", tmp_path / "out", check=False)
    assert done.code != 0 and "--monitor_every" in done.stderr and not list(
        (tmp_path / "out").iterdir())
