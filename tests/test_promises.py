"""The names that are promised: they are the whole of `__all__`, and a wheel has them all."""
import json
import shutil
import subprocess
import sys
import zipfile

import pytest

import tfisovae
from tests.promised import PROMISED
from tests.support import ROOT

LOOK = """
import importlib, json, sys
found = {name: sorted(importlib.import_module(name).__all__) for name in %r}
for name, public in found.items():
    for one in public:
        getattr(importlib.import_module(name), one)
print(json.dumps([importlib.import_module("tfisovae").__file__, found]))
"""


def test_what_is_promised_can_be_imported_and_nothing_else_is_public():
    for module, names in PROMISED.items():
        found = vars(__import__(module, fromlist=["x"]))
        assert set(names.split()) <= set(found["__all__"]), module
    assert set(tfisovae.__all__) == set(PROMISED["tfisovae"].split())


@pytest.mark.slow
def test_a_wheel_has_every_promised_name(tmp_path):
    source = tmp_path / "source"  # the build writes into the tree that it builds
    shutil.copytree(ROOT / "tfisovae", source / "tfisovae")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run([
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
        "--wheel-dir", tmp_path, source
    ], check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "site")
    done = subprocess.run([sys.executable, "-c", LOOK % (list(PROMISED),)], cwd=tmp_path, text=True,
                          env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path / "site")},
                          capture_output=True, check=True)
    path, found = json.loads(done.stdout)
    assert path.startswith(str(tmp_path))
    for module, names in PROMISED.items():
        assert set(names.split()) <= set(found[module])
    packed = {
        path.name
        for path in (tmp_path / "site" / "tfisovae" / "show" / "templates").iterdir()
    }
    assert packed == {path.name for path in (ROOT / "tfisovae" / "show" / "templates").iterdir()}
    assert (tmp_path / "site" / "tfisovae" / "py.typed").exists()
