"""Measure several runs, as far as they have not been, and show them side by side on one page: compare.html.

Each gets a directory of its name in the directory of the results, with all that `tfisovae isometry` and `tfisovae report` write,
and `tfisovae density` where p(x) is known. The runs themselves are left as they are.
"""
import os

from tfisovae.commands import density, isometry, measuring, report


def add_arguments(p):
    """The options."""
    p.add_argument("directories", metavar="RUN", nargs="+", type=os.path.expanduser,
                   help="run directories, as the training commands write them")
    p.add_argument("--titles", nargs="+", metavar="TITLE", help="of the columns, one for each run (default: names of the runs)")
    p.add_argument("--title", default="Side by side", help="of the page")
    p.add_argument("--num_examples", type=int, nargs="+", metavar="N",
                   help=f"one number for all runs, or one for each: {measuring.NUM_EXAMPLES}")
    p.add_argument("--out", type=os.path.expanduser, default="compare",
                   help="directory for the page and the results of each run; what is there of a run is not measured again")
    p.add_argument("--cache_dir", type=os.path.expanduser, help="where decoded images are kept (default: ~/.cache/tfisovae)")


def check(args):
    """Raises ValueError where the runs cannot be told apart, or the titles are not theirs."""
    names = list(map(measuring.name, args.directories))
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"Several runs are called {', '.join(sorted(twice))}, and their results would have one directory. Rename "
                         "one, or compare them in two pages.")
    if args.titles and len(args.titles) != len(names):
        raise ValueError(f"--titles takes one title for each of the {len(names)} runs; got {len(args.titles)}.")
    asked = args.num_examples or [None]
    if len(asked) not in (1, len(names)):
        raise ValueError(f"--num_examples takes one number for all runs, or one for each of the {len(names)}; got {len(asked)}.")
    for count in asked:
        measuring.check_at_least_1(num_examples=count)


def column(directory, title, num_examples, args):
    """Measures a run, which yields text, and writes its report; returns its `report.Column`."""
    from tfisovae.report import Column, contents_of

    name = measuring.name(directory)
    options = _options(isometry, directory, num_examples)
    options.out = os.path.join(args.out, name)
    trained = measuring.open_run(directory, None, args.cache_dir, None, options.out)
    known = trained.source.log_density is not None
    if known and not os.path.exists(trained.path(density.names()[1])):
        yield from density.report(trained, _options(density, directory, num_examples))
    saved, parts = yield from report.gather(trained, options, trained.out, options)
    yield report.write(trained.path("report.html"), title, saved, parts)
    return Column(contents_of(saved, title, **parts), f"{name}/report.html")


def _options(command, directory, num_examples):
    options = measuring.default_options(command, directory)
    options.num_examples = num_examples
    return options


def run(args):
    from tfisovae.report import write_beside
    from tfisovae.training.runs import load_config

    check(args)
    for directory in args.directories:  # before minutes are spent on the first
        load_config(directory)
    columns, runs = [], args.directories
    counts = args.num_examples or [None]
    for directory, title, count in zip(runs, args.titles or map(measuring.name, runs), counts * (len(runs) // len(counts))):
        print(f"== {title}: {directory}", flush=True)
        columns.append(_printed(column(directory, title, count, args)))
    path = os.path.join(args.out, "compare.html")
    write_beside(columns, path, args.title)
    print(f"\n{report.said_of(path)}")


def _printed(texts):
    """Prints what a generator yields, as soon as it is known; returns what it returns."""
    while True:
        try:
            print(next(texts), flush=True)
        except StopIteration as end:
            return end.value
