"""Shared parts of the training commands: options, their checks, and a run from the command to its
final table.
"""
import argparse
import os
import shlex
import shutil
import sys
import typing
from collections.abc import Callable, Sequence
from typing import Any

from tfisovae.callbacks import ANNEALINGS
from tfisovae.commands import measuring, options, recipes
from tfisovae.training import SCHEDULES, STRATEGIES

if typing.TYPE_CHECKING:
    from tfisovae import VAE
    from tfisovae.sources import Source

# Options that do not define the run.
_OF_A_COMMAND = (*recipes.BOOKKEEPING, "run_dir", "cache_dir", "num_eval", "worker_timeout",
                 "recipe")


WARMUP = 500  # steps of the conventional loss before the decomposed one


def add_arguments(p: argparse.ArgumentParser, command: str, **defaults: Any) -> None:
    """Adds the options of every training command. `defaults` sets some of their defaults."""
    options.in_order(p, "run", "data", "model and loss", "training", "learning rate",
                     "measuring", "machine")
    run, model, train, rate, measure, machine = (
        options.group(p, title) for title in (
            "run", "model and loss", "training", "learning rate", "measuring", "machine"))
    recipes.add_argument(p, command)
    run.add_argument(
        "--run_dir", type=os.path.expanduser,
        help="directory of the run (default: one in runs/). The same command resumes a run that "
             "was stopped")
    run.add_argument(
        "--seed", type=int, default=0,
        help="of the weights, the order of the data, the posterior noise, and toy data")
    model.add_argument("--lmbda", type=float, help="weight of the distortion; beta = 1 / lmbda")
    model.add_argument("--decomposed", action="store_true",
                       help="train D(x, x_check) + D(x_check, x_hat), as in section 4.2")
    model.add_argument(
        "--warmup_steps", type=int,
        help="steps of the conventional loss before the decomposed one (default: 500 with "
             "--decomposed, else 0)")
    model.add_argument(
        "--anneal_steps", type=int,
        help="steps in which the weight of the KL grows from 1 %% to its value (default: 0, none)")
    model.add_argument("--anneal", choices=ANNEALINGS, help="how it grows (default: linear)")
    train.add_argument("--batch_size", type=int, help="examples of one step, on all devices")
    train.add_argument("--clipnorm", type=float,
                       help="clip each gradient to this norm (default: 0, off)")
    train.add_argument(
        "--averaging", type=float, default=0.0,
        help="momentum of a moving average of the weights, which is then the model; 0: none")
    train.add_argument(
        "--standardize_latents", action=argparse.BooleanOptionalAction, default=False,
        help="bring each latent variable to mean 0 and second moment 1, after annealing and at "
             "the end")
    rate.add_argument("--learning_rate", type=float, default=1e-3, help="of Adam")
    rate.add_argument("--schedule", choices=SCHEDULES, default="constant",
                      help="cosine: the rate falls to 0 at the last step")
    rate.add_argument(
        "--learning_rate_warmup", type=int, metavar="STEPS",
        help="steps in which the rate grows from 0 to its value (default: 0, none)")
    measure.add_argument(
        "--monitor_every", type=int,
        help="steps between measurements of isometry, kept in isometry-history.csv (default: "
             "none)")
    measure.add_argument(
        "--monitor_share", type=float,
        help="share of the training's time for these measurements (default: 0.02)")
    machine.add_argument(
        "--strategy", choices=STRATEGIES, default="auto",
        help="auto: all GPUs; mirrored: also over logical CPUs; multi_worker: as TF_CONFIG says")
    machine.add_argument("--worker_timeout", type=float, default=300.0,
                         help="seconds to wait for the other workers of multi_worker")
    measuring.add_cache_dir(machine)
    p.set_defaults(**defaults)


def add_steps(p: argparse.ArgumentParser, steps: int, log_every: int,
              checkpoint_every: int) -> None:
    """Adds the length of a run and its intervals, in steps."""
    options.group(p, "training").add_argument("--steps", type=int, default=steps,
                                              help="training steps")
    run = options.group(p, "run")
    run.add_argument("--log_every", type=int, default=log_every,
                     help="steps between lines of history.csv")
    run.add_argument("--checkpoint_every", type=int, default=checkpoint_every,
                     help="steps between checkpoints, a multiple of log_every")


def resolve(args: argparse.Namespace, positive: Sequence[str] = ()) -> dict[str, Any]:
    """The configuration of a run: every option with its value; raises ValueError for bad ones.

    Args:
      args: of a training command.
      positive: names of more counting options, at least 1.
    """
    config = {key: value for key, value in vars(args).items() if key not in _OF_A_COMMAND}
    if config["warmup_steps"] is None:
        config["warmup_steps"] = WARMUP if args.decomposed else 0
    for name in ("anneal_steps", "learning_rate_warmup", "clipnorm"):
        config[name] = config[name] or None  # 0 means none, also with a recipe
    # The content of older manifests.
    config["standardize_latents"] = args.standardize_latents or None
    if config["anneal_steps"] is not None:
        config["anneal"] = config["anneal"] or "linear"
    elif config["anneal"]:
        raise ValueError("--anneal needs --anneal_steps, the duration.")
    for name in ("batch_size", "latent_dim", "anneal_steps", "learning_rate_warmup",
                 "monitor_every", *positive):
        if config[name] is not None and config[name] < 1:
            raise ValueError(f"--{name} must be at least 1; got {config[name]}.")
    for name in ("lmbda", "learning_rate", "clipnorm", "worker_timeout"):
        value = config[name] if name in config else vars(args)[name]
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(f"--{name} must be positive and finite; got {value}.")
    for name in ("warmup_steps", "num_eval", "seed"):
        value = (config if name in config else vars(args))[name]
        if value is not None and not 0 <= value < 2**32:
            raise ValueError(f"--{name} must be at least 0 and below 2^32; got {value}.")
    if config["monitor_every"] is not None:
        config[
            "monitor_share"] = 0.02 if config["monitor_share"] is None else config["monitor_share"]
    elif config["monitor_share"] is not None:
        raise ValueError(
            "--monitor_share needs --monitor_every, the interval.")
    if config["monitor_share"] is not None and not 0 < config["monitor_share"] < 1:
        raise ValueError(
            f"--monitor_share must be above 0 and below 1; got {config['monitor_share']}.")
    if not 0 <= args.averaging < 1:
        raise ValueError(f"--averaging must be at least 0 and below 1; got {args.averaging}.")
    if config["warmup_steps"] and not args.decomposed:
        raise ValueError(
            "--warmup_steps needs --decomposed: the conventional loss has no warm-up.")
    return config


def check_intervals(config: dict[str, Any], unit: str = "") -> None:
    """Raises ValueError if checkpoints would not coincide with lines of the history."""
    if config["checkpoint_every"] % config["log_every"]:
        raise ValueError(
            f"--checkpoint_every must be a multiple of --log_every ({config['log_every']}{unit}); "
            f"got {config['checkpoint_every']}.")


def check_lengths(config: dict[str, Any]) -> None:
    """Raises ValueError if a part of a training is longer than the whole; mentions that it may be
    continued.
    """
    steps = config["steps"]
    if (config["learning_rate_warmup"] or 0) >= steps:
        raise ValueError(
            f"--learning_rate_warmup must be below the {steps} steps of the training; got "
            f"{config['learning_rate_warmup']}.")
    longer = []
    if (config["anneal_steps"] or 0) > steps:
        longer.append(
            f"--anneal_steps must be at most the {steps} steps of the training, or it does not end "
            f"at lmbda {config['lmbda']:g}; got {config['anneal_steps']}.")
    if config["decomposed"] and config["warmup_steps"] >= steps:
        longer.append(
            f"--warmup_steps must be below the {steps} steps of the training, or none is of the "
            f"decomposed loss; got "
            f"{config['warmup_steps']}{' (the default)' * (config['warmup_steps'] == WARMUP)}.")
    for said in longer:
        if config["schedule"] != "constant":
            raise ValueError(said)
        print(f"{said} (A later command can continue with more --steps.)", file=sys.stderr)


def data_manifest(source: "Source") -> dict[str, Any]:
    """The data in a run's manifest: their identity and which are held out, independent of their
    place.
    """
    kept = {
        k: source.manifest[k]
        for k in ("fingerprint", "num_train", "num_eval", "standardization", "reading",
                  "num_unused") if k in source.manifest
    }
    return {
        **kept, "num_skipped": len(source.manifest["skipped"]), "num_not_images": len(
            source.manifest.get("not_images", ())), "held_out": source.held_out
    }


def make_vae(config: dict[str, Any], networks: Callable[[dict[str, Any]], tuple[Any,
                                                                                Any]]) -> "VAE":
    """The VAE of a configuration, with `networks(config)` as its encoder and decoder."""
    from tfisovae import VAE

    return VAE(*networks(config), config["distortion"], config["lmbda"], config["decomposed"],
               warmup_steps=config["warmup_steps"], seed=config["seed"])


def run(args: argparse.Namespace, prepare: Callable[[argparse.Namespace], tuple[Any, ...]],
        networks: Callable[[dict[str, Any]], tuple[Any, Any]]) -> None:
    """Runs a training command.

    Args:
      args: the options that it was given.
      prepare: function of `args` to `(config, source, run_dir, resident)`; raises ValueError for
        bad options.
      networks: function of the config to `(encoder, decoder)`.
    """
    from tfisovae.training import devices, loop, runs

    devices.prepare_cpu(args.batch_size, args.strategy)
    strategy = devices.make_strategy(args.strategy, args.worker_timeout)
    config, source, run_dir, resident = prepare(args)
    if not len(source.train):
        raise ValueError("--data holds 1 example; training needs at least 2, one of them for "
                         "evaluation.")
    if args.batch_size > len(source.train):
        raise ValueError(
            f"--batch_size must be at most the {len(source.train)} training examples; got "
            f"{args.batch_size}."
        )
    for note in source.manifest.get("notes", ()):
        print(note, file=sys.stderr)
    name = config["data"]
    if not os.path.isabs(name) and os.path.exists(name):
        print(
            f"--data {name} means the data set of that name, not the {name} in this directory; for "
            f"that give ./{name}.",
            file=sys.stderr)
    check_lengths(config)
    config["data_manifest"] = data_manifest(source)
    if config["schedule"] != "constant":
        # More steps would mean another schedule, so another run.
        config["schedule_steps"] = config["steps"]
    with devices.using_precision(config.get("mixed_precision")), \
            runs.Run(args.run_dir or run_dir, config, devices.is_chief(strategy)) as opened:
        loop.train(opened, lambda: make_vae(config, networks), source, strategy,
                   resident=resident and devices.keeps_data(strategy))
    if devices.is_chief(strategy):
        report(source, opened, args.num_eval)


def report(source: "Source", opened: Any, num_eval: int) -> None:
    """Prints the leading dimensions, measured on held-out examples, the health of the training, and
    where the model is.
    """
    import tfisovae
    from tfisovae.analysis.measuring import measure_stationarity
    from tfisovae.training.batches import drawn_batches, evaluation_batches
    from tfisovae.training.callbacks import fall_of_the_loss

    if num_eval != 0:
        vae = tfisovae.load(opened.path("model"))  # on one device, whatever the training used
        count = min(num_eval or len(source.eval), len(source.eval))
        analysis = tfisovae.analyze(vae, evaluation_batches(source.eval), count, progress=True)
        print(analysis.table())
        training = measure_stationarity(vae,
                                        drawn_batches(source.train, count, opened.config["seed"]),
                                        progress=True)
        print(
            analysis.health(fall=fall_of_the_loss(opened.directory, opened.config), num_train=len(
                source.train), annealed=opened.config["schedule"] != "constant", training=training))
    print(
        f"SavedModel: {opened.path('model')}. Measure it in full: "
        f"{command_line('isometry', opened.directory)}"
    )


def command_line(*arguments: Any) -> str:
    """A command of this package that can be pasted into a shell, from any directory."""
    program = ["tfisovae"] if shutil.which("tfisovae") else [sys.executable, "-m", "tfisovae"]
    return shlex.join([*program, *arguments])
