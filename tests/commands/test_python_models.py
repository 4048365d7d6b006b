"""Models that a command line names in Python files and modules."""
import numpy as np
import pytest

from tests.messages import refuses
from tfisovae.commands import python_models
from tfisovae.show import decoded

FILE = """
import beside_the_vae

pair = beside_the_vae.encode, beside_the_vae.decode


def make():
    return pair
"""


def test_a_file_or_a_module_and_a_name(tmp_path, monkeypatch):
    """A model, or a function that returns one; with what lies next to the file."""
    (tmp_path / "a_vae.py").write_text(FILE)
    (tmp_path / "beside_the_vae.py").write_text("encode, decode = 'e', 'd'")
    whole = f"{tmp_path}/a_vae.py"
    for name in ("pair", "make"):
        assert python_models.found(f"{whole}:{name}") == ("e", "d")
        assert python_models.absolute(f"{whole}:{name}") == f"{whole}:{name}"
    monkeypatch.chdir(tmp_path)
    for place in ("a_vae", "a_vae.py"):
        assert python_models.found(f"{place}:make") == ("e", "d")
        assert python_models.absolute(f"{place}:make") == f"{whole}:make"
    assert python_models.found("numpy:pi") == np.pi  # of a module that is installed
    assert python_models.absolute("numpy:pi") == "numpy:pi"
    assert python_models.found(None) is None
    (tmp_path / "a:b").mkdir()
    assert python_models.found("a:b") == "a:b"  # a directory keeps its name
    assert python_models.absolute("model") == f"{tmp_path}/model"


BROKEN = {"raises": "def make():\n    raise RuntimeError('first line\\nsecond')\n",
          "no Python": "x = 1\ndef make(:\n"}


@pytest.mark.parametrize("name", BROKEN)
def test_a_fault_in_the_file_is_said_with_its_line(name, tmp_path, main):
    """Only of the user's own file: other errors keep their traceback."""
    (tmp_path / "a_broken_vae.py").write_text(BROKEN[name])
    model = f"{tmp_path}/a_broken_vae.py:make"
    with pytest.raises((RuntimeError, SyntaxError)) as raised:
        python_models.found(model)
    said = python_models.blamed(raised.value, model)
    assert said.startswith(f"--model {model}: line 2: {raised.type.__name__}: ")
    assert "\n" not in said
    assert python_models.blamed(raised.value, f"{tmp_path}/another.py:make") is None
    assert python_models.blamed(raised.value, str(tmp_path)) is None
    np.save(tmp_path / "x.npy", np.ones((9, 3)))
    done = main("audit", "--model", model, "--data", tmp_path / "x.npy", check=False)
    assert done.stderr == f"tfisovae audit: {said}\n"


@pytest.mark.parametrize("model", ["nothing_here.py:make", "no_such_module:make", "numpy:nothing"])
def test_what_is_not_there(model):
    with refuses(ValueError, "--model"):
        python_models.found(model)


def test_channels_are_put_last():
    """Of images and of rows of images with their channels in front; nothing else is turned."""
    for shape, last in (((5, 3, 12, 14), (5, 12, 14, 3)), ((2, 5, 1, 12, 14), (2, 5, 12, 14, 1)),
                        ((5, 12, 14, 3), (5, 12, 14, 3)), ((5, 3, 12), (5, 3, 12)),
                        ((5, 9), (5, 9)), ((5, 4, 12, 14), (5, 4, 12, 14))):
        x = np.random.default_rng(0).random(shape)
        found = decoded.channels_last(x)
        assert found.shape == last
        assert found.ndim < 4 or found.sum(-1) == pytest.approx(
            x.sum(-3 if shape != last else -1))
