"""Requirements: ranges in setup.cfg, exact versions in a file for each Python, and the pages."""
import configparser
import re

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support import ROOT

PYTHONS = ["3.10", "3.11", "3.12", "3.13"]


def required(extra=None):
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    text = (config["options.extras_require"][extra] if extra
            else config["options"]["install_requires"])
    rows = [row.partition("#")[0].strip() for row in text.splitlines()]
    return [Requirement(row) for row in rows if row]


def asked(requirements, python, machine="x86_64"):
    environment = {**default_environment(), "python_version": python, "platform_machine": machine}
    return {canonicalize_name(one.name): one for one in requirements
            if one.marker is None or one.marker.evaluate(environment)}


@pytest.mark.parametrize("python", PYTHONS)
def test_exact_versions_are_in_the_ranges(python):
    locked = {}
    for row in (ROOT / f"requirements-{python}.lock").read_text().splitlines():
        if not row.startswith("#"):
            one = Requirement(row)
            locked[canonicalize_name(one.name)] = str(one.specifier).removeprefix("==")
    for extra in (None, "test", "dev", "results"):
        for name, one in asked(required(extra), python).items():
            assert one.specifier.contains(locked[name]), (name, locked[name])
    assert ("tensorflow-compression" in locked) == (python < "3.12")


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "arm64"])
def test_tensorflow_compression_is_required_where_there_is_a_wheel(python, machine):
    expected = machine == "x86_64" and python in ("3.10", "3.11")
    assert ("tensorflow-compression" in asked(required(), python, machine)) == expected


def test_the_pages_have_all_requirements_but_tensorflow_compression():
    """For those who keep a TensorFlow of their own."""
    text = (ROOT / "docs" / "models-and-data.md").read_text()
    row = re.search(r"pip install --no-deps \.\npip install (.*)\n", text)[1]
    named = [Requirement(word.strip('"')) for word in row.split()]
    assert {canonicalize_name(one.name) for one in named} == asked(
        required(), "3.13").keys() - {"tensorflow"}
