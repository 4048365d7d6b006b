"""Pictures: a figure shows itself as PNG, without pyplot and without a display."""
import io

import numpy as np
from PIL import Image

from tfisovae.show import density_figures, drawing


def test_a_figure_gives_a_notebook_its_picture(tmp_path):
    """The picture that is shown is the one that is written: the same pixels."""
    drawn = density_figures.density_histograms({"volume": np.linspace(-3, 0, 200)}, "title",
                                               tmp_path / "a.png")
    shown = drawn._repr_png_()
    assert shown.startswith(b"\x89PNG")
    a, b = np.asarray(Image.open(io.BytesIO(shown))), np.asarray(Image.open(tmp_path / "a.png"))
    np.testing.assert_array_equal(a, b)
    assert len(np.unique(a)) > 10  # something is drawn
    assert isinstance(drawn, drawing.Figure)
