"""Refusals in tests: a test has the type of the error and the name of the argument, messages.json
has the wording.

    with refuses(ValueError, "num_examples"):
        tfisovae.analyze(vae, x, num_examples=0)

After a message was made better, `pytest --update-messages` writes the new wording; look at the
difference before you commit it.
"""
import ast
import contextlib
import difflib
import json
import pathlib
import re
import socket
import sys
import tempfile

import pytest

PATH = pathlib.Path(__file__).with_name("messages.json")
ROOT = pathlib.Path(__file__).parent.parent
_LAYERS = "|".join(["activation", "batch_normalization", "conv2d", "dense", "dropout", "flatten",
                    "functional", "gdn", "input", "lambda", "layer", "model", "reshape",
                    "sequential", "upsample2"])


class Messages:
    """The wording of every refusal, by test.

    Attributes:
      test: the test that runs now.
      seen: how many refusals it has had.
      updating: whether the file is to be written, and no wording is checked.
      found: what is to be written, by test.
    """

    def __init__(self):
        self.known = json.loads(PATH.read_text()) if PATH.exists() else {}
        self.test, self.seen, self.updating, self.found, self.base = "", 0, False, {}, ""

    def begin(self, test):
        self.test, self.seen = test, 0
        self.found[test] = []

    def check(self, message):
        said, number = normalised(message, self.base), self.seen
        self.seen += 1
        self.found[self.test].append(said)
        if self.updating:
            return
        known = self.known.get(self.test, [])[number:number + 1]
        if known != [said]:
            lines = difflib.ndiff([line for one in known for line in one.splitlines()],
                                  said.splitlines())
            pytest.fail("The message is not the one of tests/messages.json. If it is better, run "
                        "this test with --update-messages.\n" + "\n".join(lines), pytrace=False)

    def write(self, found, collected=None):
        """Writes what was found over what is known, without tests that refuse nothing any more.

        Args:
          found: messages by test; tests without any are left out of the file.
          collected: names of all tests of the files that were collected, if they were collected
            whole; other tests of these files are no more.
        """
        modules, refusing = {test.split("::")[0] for test in collected or ()}, refusing_tests()
        kept = {test: said for test, said in self.known.items()
                if (test in (collected or ()) or test.split("::")[0] not in modules)
                and test.partition("[")[0] in refusing}
        both = {test: said for test, said in {**kept, **found}.items() if said}
        PATH.write_text(json.dumps(both, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


MESSAGES = Messages()


def refusing_tests():
    """`file::test` of every test that uses `refuses`."""
    found = set()
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text()
        for part in ast.parse(text).body if "refuses(" in text else ():
            called = (node.func for node in ast.walk(part) if isinstance(node, ast.Call))
            if isinstance(part, ast.FunctionDef) and any(
                    isinstance(name, ast.Name) and name.id == "refuses" for name in called):
                found.add(f"{path.relative_to(ROOT).as_posix()}::{part.name}")
    return found


def normalised(message, base=""):
    """A message without what another machine or another order of tests would change: paths,
    processes, ports, hosts, addresses, digests, numbers of layers, late digits.
    """
    place = re.escape(tempfile.gettempdir())
    for pattern, name in (
            (r"(?s)^in user code:.*\n +\w+: (.*?)\s*$", r"\1"),  # as AutoGraph quotes it
            (r"\d+,\d+,\d+ bytes w", "N bytes w"),
            (r"[^\s\"']*/site-packages/", "SITE/"),
            (re.escape(sys.executable), "PYTHON"),
            *([(rf"{re.escape(base)}(/popen-gw\d+)?/[^/\s'\"]+", "TMP")] if base else []),
            (rf"{place}/pytest-of-[^/]+/pytest-\d+(/popen-gw\d+)?/[^/\s'\"]+", "TMP"),
            (rf"{place}/tmp\w+", "TMP"), (re.escape(str(ROOT)), "ROOT"),
            (re.escape(socket.gethostname()), "HOST"), (r"process \d+", "process N"),
            (r"/dev/fd/\d+", "/dev/fd/N"),
            # Keras' own words; each version has others.
            (r"Input 0 (with name \S+ )?of layer .* is incompatible with the layer: .*",
             "Input 0 is incompatible with the layer"),
            (r"(127\.0\.0\.1|localhost):\d+", r"\1:N"), (r"0x[0-9a-f]{6,}", "0xN"),
            (r"(?<!#)\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{8}\b", "DIGEST"),
            (r"(?<=(?:by|is) )\d{8}\b", "DIGEST"),
            (rf"\b({_LAYERS})_\d+\b", r"\1")):
        message = re.sub(pattern, name, message)
    return re.sub(r"\d+\.\d{4,}", lambda digits: f"{float(digits[0]):.3g}", message)


@contextlib.contextmanager
def refuses(error, argument=""):
    """Asserts that an error of this type is raised, and that its message names `argument`; the
    wording is compared with messages.json.
    """
    with pytest.raises(error) as raised:
        yield raised
    message = str(raised.value)
    assert argument in message, f"{argument!r} is not named in: {message}"
    MESSAGES.check(message)
