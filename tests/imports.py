"""What is imported, and when: one process for all tests that ask it. It prints JSON.

    python tests/imports.py DIRECTORY

    help         by command line: whether TensorFlow was imported
    page         a page of saved numbers, and what writing it imported (TensorFlow, pyplot)
    codec        the settings of the codec in DIRECTORY, and what reading them imported
    onednn       by command: TF_ENABLE_ONEDNN_OPTS when TensorFlow was about to be imported
    log_levels   TF_CPP_MIN_LOG_LEVEL after importing tfisovae, where it was not set, and set to 0
"""
import contextlib
import importlib
import io
import json
import os
import sys

LARGE = ("tensorflow", "matplotlib.pyplot")


def loaded():
    return [name for name in LARGE if name in sys.modules]


def run(arguments):
    """A command in this process, its output dropped; the argument of its SystemExit."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            from tfisovae.__main__ import main

            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            return stop.code


def forget():
    for name in [name for name in sys.modules if name.split(".")[0] == "tfisovae"]:
        del sys.modules[name]


class Watch:
    """A finder that ends the process where TensorFlow would be imported."""

    def find_spec(self, name, path=None, target=None):
        if name == "tensorflow":
            sys.exit(f"option {os.environ.get('TF_ENABLE_ONEDNN_OPTS')}")


def onednn(place):
    """By command, in a package that was not imported before."""
    from tfisovae import commands

    options = {"audit": ["--model", place, "--data", "mix"],
               "compress": [place, "mix", "-o", f"{place}/new"],
               "decompress": [place, f"{place}/x.tfv", "-o", f"{place}/new"],
               **{name: [] for name in ("celeba", "mnist", "toy", "ablation")}}
    found = {}
    sys.meta_path.insert(0, Watch())
    for name in commands.SUMMARIES:
        forget()
        os.environ.pop("TF_ENABLE_ONEDNN_OPTS", None)
        found[name] = run([name, *options.get(name, [place])])
    del sys.meta_path[0]
    return found


def main(place):
    from tfisovae import commands

    answers = {"help": {}}
    for arguments in (["--help"], *([name, "--help"] for name in commands.SUMMARIES),
                      ["celeba", "--lmbda", "a"]):
        run(arguments)
        answers["help"][" ".join(arguments)] = "tensorflow" in sys.modules

    from tfisovae import show

    with open("results/faces/decomposed/isometry.json") as file:
        show.write(json.load(file), f"{place}/page.html")
    with open(f"{place}/page.html") as file:
        answers["page"] = {"modules": loaded(), "text": file.read()}

    from tfisovae.codec import directory

    answers["codec"] = [directory.settings(f"{place}/codec"), loaded()]
    answers["onednn"] = onednn(place)
    answers["log_levels"] = []
    for level in (None, "0"):
        forget()
        os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)
        if level is not None:
            os.environ["TF_CPP_MIN_LOG_LEVEL"] = level
        importlib.import_module("tfisovae")
        answers["log_levels"].append(os.environ["TF_CPP_MIN_LOG_LEVEL"])
    forget()
    os.environ.pop("TF_CPP_MIN_LOG_LEVEL")
    importlib.import_module("tfisovae").VAE  # noqa: B018  (imports TensorFlow, and says nothing)
    print(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
