"""Audit any VAE: find faults, check beta, measure isometry. Writes isometry.json, pictures and
report.html.
"""
import argparse
import dataclasses
import os
import typing
from typing import Any

import numpy as np

from tfisovae import files
from tfisovae.commands import choices, isometry, measuring, options, python_models, wording
from tfisovae.commands.examples import Examples, load
from tfisovae.geometry.estimated import LARGEST_EXACT

if typing.TYPE_CHECKING:
    from tfisovae import Analysis, Autoencoder

_GRADIENT_EXAMPLES = 8_192
_EXAMPLES = 12  # number of reconstructions
_HOW_TO_PROBE = (
    "An audit does not train. To see what more training would gain, continue training a Keras "
    "model in Python, for as many steps S as it had: found = tfisovae.probe(model, "
    "training_examples, steps=S, trained_steps=S). Then tfisovae.analyze(model, "
    "training_examples).judge(probes=[found]) gives the verdict.")
_CONDITIONAL = (
    "An audit does not train, and tfisovae.probe takes no conditional model. To see what more "
    "training would gain, continue the training in your own code, for as many steps as it had. "
    "Then audit again: the difference of the losses is the gain.")
_IN_PYTHON = {  # next steps on the page of an audit
    "probe": "tfisovae.probe(model, x_train, steps=S, trained_steps=S)  # S: steps it had",
    "prune": "tfisovae.prune(model, 0.99, x)",
    "density": "tfisovae.density.log_densities(model, x)"
}
_OF_LARGE = {"prune": "tfisovae.prune(model, 'active', x)"}
_WRITTEN = ("isometry.json", "isometry.npz", "isometry.png", "scree.png", "gram.png",
            "spatial.png", "reconstructions.png", "report.html")


EXAMPLES = (
    "tfisovae audit --encoder encoder --decoder decoder --distortion bce-sum --beta 1 --data x.npy",
    "tfisovae audit --model my_vae.py:make --distortion mse --estimate_beta --data images/",
)


def add_arguments(p: argparse.ArgumentParser) -> None:
    """Adds the options."""
    options.in_order(p, "model", "loss", "data", "measuring", "output")
    model, loss, data, measure, output = (options.group(p, title) for title in (
        "model", "loss", "data", "measuring", "output"))
    model.add_argument(
        "--model", type=os.path.expanduser,
        help="a SavedModel of a whole VAE, with the signatures encode and decode; or FILE.py:NAME "
             "or MODULE:NAME, a model in Python (Keras, PyTorch, JAX, ... or what "
             "tfisovae.as_autoencoder returns) or a function without arguments that returns one")
    model.add_argument("--encoder", type=os.path.expanduser,
                       help="SavedModel of the encoder, as Keras' model.export writes it")
    model.add_argument("--decoder", type=os.path.expanduser, help="SavedModel of the decoder")
    model.add_argument("--scale", choices=choices.SCALES, default="log_variance",
                       help="meaning of the encoder's second output")
    model.add_argument("--condition", metavar="NAME",
                       help="for a conditional model: the columns of a table (a,b,c) or the array "
                            "of an .npz with its second input c (default: as in the model; array "
                            "c or y)")
    model.add_argument("--decoder_activation",
                       help="activation for the decoder's output, such as sigmoid for logits "
                            "(default: none)")
    loss.add_argument(
        "--distortion",
        help="sse, mse, bce, bce-sum, cce, poisson, ssim, downward_convex or upward_convex "
             "(default: as in the model)")
    loss.add_argument("--beta", type=float,
                      help="1 / lmbda, where the loss is lmbda D + KL (default: as in the model)")
    loss.add_argument("--estimate_beta", action="store_true",
                      help="estimate beta from the model and the data")
    loss.add_argument("--decomposed", action="store_true",
                      help="the loss was the decomposed one of section 4.2")
    data.add_argument(
        "--data", type=os.path.expanduser, required=True,
        help="held-out data, or the data of the training: a directory or .zip of images, a table, "
             "an .npy or .npz of images [N, H, W, C], mix, ramp, norm, or faces")
    data.add_argument(
        "--train_data", type=os.path.expanduser,
        help="4,000 or more examples of the training, for the mean gradient, which tests whether "
             "training has converged")
    data.add_argument("--max_value", type=float, default=1.0,
                      help="largest value of 8-bit pixels, as the model takes them: 1 or 255")
    data.add_argument("--image_size", type=int,
                      help="of a directory or .zip of images (default: as in the model, else 64)")
    data.add_argument("--crop", choices=choices.CROPS, default="center",
                      help="of a directory or .zip of images")
    data.add_argument("--grayscale", action=argparse.BooleanOptionalAction,
                      help="one channel instead of three (default: as in the model)")
    measuring.add_cache_dir(data)
    measure.add_argument("--num_examples", type=int,
                         help="examples to measure, at most (default: 1,000 images, or 10,000 "
                              "vectors)")
    measuring.add_method(p)
    output.add_argument("--out", default="audit", type=os.path.expanduser,
                        help="directory for the results")
    output.add_argument("--overwrite", action="store_true",
                        help="replace the results of another model or other data in --out")
    output.add_argument("--rows", type=int, default=10, help="dimensions in the table")


def load_model(args: argparse.Namespace) -> "Autoencoder":
    """The `Autoencoder` from the options; its beta may be `None`."""
    from tfisovae import as_autoencoder, distortions
    from tfisovae.autoencoder.autoencoder import refuse

    if bool(args.model) == bool(args.encoder or args.decoder) or bool(args.encoder) != bool(
            args.decoder):
        raise ValueError(
            "Give --model DIR, --model FILE.py:NAME, or --encoder DIR and --decoder DIR.")
    if args.beta is not None and args.estimate_beta:
        raise ValueError(
            "Give --beta or --estimate_beta, not both: an audit compares the given beta with its "
            "estimate anyway.")
    if args.condition is not None and not python_models.is_in_python(args.model):
        raise ValueError(
            "--condition needs --model FILE.py:NAME: a pair of Keras models with two inputs, (x, "
            "c) and (z, c), or a pair of functions.")
    distortion = args.distortion
    if distortion == "bce-sum":
        distortion = distortions.BinaryCrossentropy("sum")
    model = python_models.found(args.model) or (args.encoder, args.decoder)
    try:
        made = as_autoencoder(model, distortion, args.beta, args.scale, args.decomposed or None,
                              decoder_activation=args.decoder_activation,
                              conditional=args.condition is not None,
                              needs_beta=not args.estimate_beta)
    except TypeError as error:  # the user chose the directory
        raise ValueError(str(error)) from error
    refuse(made, "audit", "covariance")
    return made


def settle_images(args: argparse.Namespace, model: "Autoencoder") -> None:
    """Sets missing `image_size` and `grayscale` to fit the model's images."""
    shape = (model.networks and model.networks.example_shape) or ()
    known = len(shape) == 3 and shape[0] is not None and shape[0] == shape[1] and shape[2] in (1, 3)
    if args.image_size is None:
        args.image_size = shape[0] if known else 64
    if args.grayscale is None:
        args.grayscale = known and shape[2] == 1


def load_data(args: argparse.Namespace, model: "Autoencoder", name: str, count: int | None = None,
              option: str = "data") -> Examples:
    """As `examples.load`, in the form that the model takes."""
    found = load(args, name, count, option, model.condition is not None)
    if found.c is not None:
        return found._replace(c=python_models.condition_as_taken(model, found.x, found.c))
    return found._replace(x=python_models.as_taken(model, found.x))


def load_training(args: argparse.Namespace, model: "Autoencoder",
                  shape: tuple[int, ...]) -> Examples | None:
    """The examples of `--train_data`, or `None` without it.

    Args:
      args: the options.
      model: `Autoencoder`.
      shape: of one example of `--data`.

    Raises:
      ValueError: if the mean gradient of the model on them cannot be measured.
    """
    from tfisovae.analysis import mean_gradient
    from tfisovae.verdict.tests_of_means import MIN_BLOCKS

    if not args.train_data:
        return None
    if not mean_gradient.weights_of(model):
        raise ValueError(
            "--train_data: the model has no trainable variables, so its loss has no gradient. "
            "Leave it out.")
    found = load_data(args, model, args.train_data, _GRADIENT_EXAMPLES, "train_data")
    x = found.x
    if x.shape[1:] != shape:
        raise ValueError(
            f"--train_data {args.train_data} has examples of the shape {list(x.shape[1:])}; --data "
            f"has {list(shape)}.")
    if len(x) < MIN_BLOCKS:
        raise ValueError(
            f"--train_data {args.train_data} has {len(x)} examples: the mean gradient needs at "
            f"least {MIN_BLOCKS}, and should have 4,000.")
    try:
        model.distortion.check(x)
    except ValueError as error:
        raise ValueError(f"--train_data {args.train_data}: {error}") from error
    return found


def subject(args: argparse.Namespace) -> dict[str, Any]:
    """The measured model and data for `isometry.json`, as absolute paths."""
    def absolute(name, path):
        if name == "data" and path in (*choices.TOYS, *choices.IMAGES):
            return path
        return python_models.absolute(path) if name == "model" else os.path.abspath(path)

    paths = {name: getattr(args, name) for name in ("model", "encoder", "decoder", "data")}
    made = {name: path and absolute(name, path) for name, path in paths.items()}
    return made | ({} if args.condition is None else {"condition": args.condition})


def check_replaceable(args: argparse.Namespace) -> None:
    """Raises ValueError if `--out` holds results of another model or other data, unless
    `--overwrite` is given.
    """
    there = [name for name in _WRITTEN if os.path.lexists(os.path.join(args.out, name))]
    if not there or args.overwrite:
        return
    try:
        saved = files.read_json(os.path.join(args.out, "isometry.json"))
    except (OSError, files.DamagedFile):
        saved = {}
    wanted, saved = subject(args), saved if isinstance(saved, dict) else {}
    if any(saved.get(name) != path for name, path in wanted.items()):
        was = ", ".join(
            f"{name} {saved[name]}" for name in wanted if isinstance(saved.get(name), str))
        raise ValueError(
            f"{args.out} holds the {there[0]} of another measurement "
            f"({was or 'nothing says of what'}). Give another directory with --out, or --overwrite "
            "to replace it.")


def examine(model: "Autoencoder", some: Examples, estimate: bool = False) -> tuple[Any, ...]:
    """Results other than the measurement: `(findings, BetaEstimate or None, the model with a
    beta)`.

    Args:
      model: `Autoencoder`; its `beta` may be `None` with `estimate`.
      some: examples.
      estimate: whether to use the estimated beta.
    """
    from tfisovae import estimate_beta
    from tfisovae.autoencoder import inspection, streaming
    from tfisovae.verdict import Severity

    streaming.prepare(model, some.data, inspect=False)  # refuses outputs that do not fit
    found = [dataclasses.replace(one, numbers={**one.numbers,
                                               "row": int(some.rows[one.numbers["row"]])})
             if "row" in one.numbers else one for one in inspection.inspect(model, some.data)]
    if any(one.severity is Severity.FATAL for one in found):
        return found, None, model
    try:
        beta = estimate_beta(model, some.data, progress=True, inspect=False)
    except ValueError:
        if estimate:
            raise
        beta = None  # collapsed: the summary says so
    return found, beta, dataclasses.replace(model, beta=beta.value) if estimate else model


def run(args: argparse.Namespace) -> None:
    import tensorflow as tf

    if args.num_examples is not None and args.num_examples < 2:
        raise ValueError(
            f"--num_examples must be at least 2 for an audit; got {args.num_examples}.")
    for name in ("rows", "image_size"):
        measuring.check_at_least_1(**{name: getattr(args, name)})
    if not 0 < args.max_value < float("inf"):
        raise ValueError(f"--max_value must be positive and finite; got {args.max_value}.")
    check_replaceable(args)
    model = load_model(args)
    settle_images(args, model)
    some = load_data(args, model, args.data, args.num_examples)
    x = some.x
    if len(x) < 2:
        raise ValueError(
            f"--data {args.data} has {len(x)} example; an audit needs at least 2, and its verdict "
            "some hundreds."
        )
    takes = model.networks and model.networks.example_shape
    if takes is not None and not tf.TensorShape(takes).is_compatible_with(x.shape[1:]):
        raise ValueError(
            f"--data {args.data} has examples of the shape {list(x.shape[1:])}; the encoder takes "
            f"{list(takes)}."
        )
    train = load_training(args, model, x.shape[1:])
    with measuring.writing(args.out):
        check_replaceable(args)  # another process may have written meanwhile
        measure(args, model, some, train)


def measure(args: argparse.Namespace, model: "Autoencoder", some: Examples,
            train: Examples | None) -> None:
    """Measures and writes everything.

    Args:
      args: the options.
      model: `Autoencoder`; its `beta` may be `None` with `--estimate_beta`.
      some: examples of `--data`.
      train: examples of `--train_data`, or `None`.
    """
    import tfisovae
    from tfisovae.analysis import components as pca
    from tfisovae.analysis import mean_gradient, scree, storage
    from tfisovae.analysis.measuring import measure_stationarity
    from tfisovae.verdict import Severity, headlines, model_words

    x = some.x
    found, beta, model = examine(model, some, args.estimate_beta)
    said = [wording.as_options(line, vars(args)) for line in model_words.findings(found)]
    print("\n".join(said), end="\n" if said else "", flush=True)
    if any(one.severity is Severity.FATAL for one in found):
        raise ValueError("Stopped: correct this first, or no result means anything.")
    result = tfisovae.analyze(model, some.data, progress=True, inspect=False, method=args.method)
    few = x[pca.spread_out(pca.enough(len(x), x[0].size), len(x))]
    components = pca.principal_components(few, model.distortion) if len(few) > 3 else None
    importances = scree.Scree.of(result, components)
    print("\n".join([result.table(args.rows),
                     result.accounting(),
                     importances.sentences()]), flush=True)
    if beta is not None:
        given = None if args.estimate_beta else model.beta
        said.append(model_words.beta(beta, given))
        print(said[-1], flush=True)
    known = {
        "beta_found": args.estimate_beta, "beta_differs":
            beta is not None and not args.estimate_beta and beta.differs_from(model.beta)
    }
    beta = beta and {"value": beta.value, "error": beta.error, "spread": beta.spread,
                     "state": beta.state(given).value}

    def save(verdict):
        result.save(os.path.join(args.out, "isometry.json"), **subject(args),
                    findings=[one.to_dict() for one in found], beta_found=beta,
                    verdict=verdict.to_dict(),
                    principal_components=components and pca.to_save(components))

    verdict = result.judge(**known)
    save(verdict)  # even if the gradient fails
    if train is not None:
        evidence = {} if result.standard_prior is False else {
            "training": measure_stationarity(model, train.data, progress=True, inspect=False)}
        try:
            evidence["gradient"] = mean_gradient.block_gradients(
                model, train.data, progress=True, inspect=False).mean_gradient()
        # It can still be measured with finite differences.
        except mean_gradient.NoGradient as error:
            said.append(f"--train_data: {error}")
            print(said[-1], flush=True)
        verdict = result.judge(**known, **evidence)
        save(verdict)
    if result.standard_prior is not False:
        said.append(_HOW_TO_PROBE if some.c is None else _CONDITIONAL)
        print(said[-1])
    print(f"{headlines.numbers(verdict)}\n{headlines.summary(verdict)}", flush=True)
    drawn = draw(args.out, model, result, importances, some, args.max_value)
    write_report(args, model, result, importances, some, verdict, said)
    print(measuring.written(args.out, *storage.names(os.path.join(args.out, "isometry.json")),
                            *drawn, "report.html"))


def write_report(args: argparse.Namespace, model: "Autoencoder", result: "Analysis",
                 importances: Any, some: Examples, verdict: Any, notes: list[str]) -> str:
    """Writes the page of an audit, `report.html`."""
    from tfisovae import show

    few = some.first(_EXAMPLES)
    shown = show.observe(model, result, few.data, few.rows, progress=True, inspect=False)
    options = {
        name: value
        for name, value in vars(args).items()
        if name not in ("run", "rows", "overwrite", "cache_dir", "out")
    }
    show.write(result, os.path.join(args.out, "report.html"),
               measuring.name(args.model or args.decoder), verdict, max_value=args.max_value,
               manifest={**options, **subject(args)}, notes=notes, scree=importances,
               commands=_commands(result, some), **shown)


def _commands(result, some):
    """Next steps on the page."""
    if some.c is not None:
        return {"density": "tfisovae.density.log_densities(model, (x, c))"}
    if result.standard_prior is False:
        return {"density": _IN_PYTHON["density"]}
    return _IN_PYTHON | (_OF_LARGE if len(result.active) > LARGEST_EXACT else {})


def draw(out: str, model: "Autoencoder", result: "Analysis", importances: Any, some: Examples,
         max_value: float) -> list[str]:
    """Draws the measurement, and reconstructions of images; returns the names of the pictures."""
    from tfisovae.autoencoder.autoencoder import bound
    from tfisovae.show import decoded, drawing, gram, importance, norms, spatial, tiles

    title = f"{result.distortion_name}, beta {result.beta:.4g}"
    drawn = {
        "isometry": norms.isometry(result, f"{isometry.TITLES['isometry']}: {title}"),
        "scree": importance.both(importances, f"{isometry.TITLES['scree']}: {title}")
    }
    if result.num_active:
        drawn["gram"] = gram.gram(result, title=isometry.TITLES["gram"])
    if result.latent_shape is not None:
        drawn["spatial"] = spatial.both(result, title)
    x, _, c = some.first(_EXAMPLES)
    if tiles.are_images(decoded.channels_last(x)):
        known, rows = bound(model, x if c is None else model.condition.packed(x, c))
        x_check = np.asarray(known.decode(known.encode(rows)[0]))
        drawn["reconstructions"] = decoded.reconstructions(
            [x, x_check], ["x", "Dec(mean)"], max_value=max_value)
    for name in {"gram", "spatial", "reconstructions"} - set(drawn):
        files.remove(os.path.join(out, f"{name}.png"))  # from an earlier measurement
    for name, figure in drawn.items():
        drawing.save(figure, os.path.join(out, f"{name}.png"))
    return [f"{name}.png" for name in drawn]
