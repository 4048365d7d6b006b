"""Odd inputs: a digit of MNIST that a VAE was never shown, ten times. `python -m results.odd --data
mnist.npz`.

For each digit a VAE of App. G is trained on the others: a short training with a cosine schedule, in
--runs, which resumes if it was stopped. Then each score separates test images of that digit from
the others. The scores are each form of log p, the rate, the distortion, and, on the same pixels,
scikit-learn's isolation forest and the error of a PCA of as many components as there are latent
variables. Written are, into --out, odd.json, areas under the ROC curve, and odd.png. It takes
scikit-learn: pip install tfisovae[results].
"""
import argparse
import os
import sys

import numpy as np
import tqdm

from results import palette
from tfisovae import files

SETTINGS = {
    "steps": 1000, "batch_size": 128, "learning_rate": 1e-3, "schedule": "cosine", "clipnorm": 1.0,
    "log_every": 100, "checkpoint_every": 500, "seed": 0, "lmbda": 2000.0, "latent_dim": 32,
    "distortion": "bce", "network": "mnist"
}
_WORDS = {
    "rate": "rate alone", "distortion": "distortion alone",
    "isolation_forest": "isolation forest, pixels", "pca": "PCA error, pixels"
}


def parser():
    """The options."""
    p = argparse.ArgumentParser(prog="python -m results.odd", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument(
        "--data", help=
        "mnist.npz, with x_train, y_train, x_test and y_test (without: the picture is drawn again)")
    p.add_argument("--steps", type=int, default=SETTINGS["steps"],
                   help=f"of each training (default: {SETTINGS['steps']})")
    p.add_argument("--latent_dim", type=int, default=SETTINGS["latent_dim"],
                   help=f"(default: {SETTINGS['latent_dim']})")
    p.add_argument("--digits", type=int, nargs="+", default=list(range(10)),
                   help="to leave out in turn (default: all)")
    p.add_argument("--num_eval", type=int, default=1000,
                   help="test images at most, of the digit and of the others (default: 1000)")
    p.add_argument("--runs", default="runs/odd",
                   help="directory of the trainings (default: runs/odd)")
    p.add_argument("--out", default="results/odd", help="directory to write (default: results/odd)")
    return p


def auc(odd, usual):
    """Area under the ROC curve: the chance that an odd input scores above a usual one; a tie counts
    for one half.

    Args:
      odd, usual: scores, `[M]` and `[N]`, higher for what is taken to be odd; infinite ones are
        allowed.
    Returns:
      A number in [0, 1]; .5 for scores that tell nothing. By ranks, M + N log(M + N) in time.
    Raises:
      ValueError: if one of the two is empty, or a score is not a number.
    """
    scores = np.concatenate([np.asarray(odd, np.float64), np.asarray(usual, np.float64)])
    if not len(odd) or not len(usual) or np.isnan(scores).any():
        raise ValueError(
            f"auc takes numbers, at least one of each kind; got {len(odd)} odd and {len(usual)} "
            f"usual ones"
            f"{', some of them NaN' if np.isnan(scores).any() else ''}.")
    _, value, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[value]  # of tied scores the mean
    return float((ranks[:len(odd)].sum() - len(odd) * (len(odd) + 1) / 2) / (len(odd) * len(usual)))


def read(path):
    """Images `[N, 784]`, uint8, and labels `[N]` of training and of test: the first 50,000 of
    training, as in the paper.
    """
    from tfisovae import sources

    source = sources.load_mnist(path)
    try:
        with np.load(path) as data:
            labels = [np.asarray(data[name]) for name in ("y_train", "y_test")]
    except (ValueError, KeyError, AttributeError):
        raise ValueError(
            f"{path} has no y_train and y_test: the labels are needed. Give mnist.npz as Keras "
            f"has it."
        ) from None
    return [(rows[np.arange(len(rows))], label[:len(rows)])
            for rows, label in zip((source.train, source.eval), labels)]


def trained(directory, images, settings):
    """The VAE that was trained on `images` `[N, 784]` in a run directory, or is now."""
    from tfisovae import VAE, networks
    from tfisovae.sources import Rows, Source
    from tfisovae.sources.source import fingerprint
    from tfisovae.training import devices, loop, runs

    devices.prepare_cpu(settings["batch_size"], "auto")
    source = Source(Rows(images, np.arange(len(images))), Rows(images, np.arange(8)),
                    {"fingerprint": fingerprint(images)})
    with runs.Run(directory, {**settings, "data_manifest": source.manifest}) as run:
        return loop.train(
            run, lambda: VAE(*networks.mnist(settings["latent_dim"]), settings["distortion"],
                             settings["lmbda"], seed=settings["seed"]), source,
            devices.make_strategy())


def scores_of_vae(vae, train, x):
    """How odd a VAE finds the images `x` `[N, 784]`: dict from the name of a score to `[N]`, higher
    for odder.

    The forms of the density are over the dimensions that are active on the images of training, with
    their E[sigma^2].
    """
    from tfisovae import density
    from tfisovae.autoencoder.posterior import active
    from tfisovae.autoencoder.streaming import on_replicas
    from tfisovae.metrics.measurement import measure

    seen = vae.encode(train)
    among, variance = active(np.mean(seen.kl(), 0)), np.mean(
        np.square(seen.scale, dtype=np.float64), 0)

    def both(x, first_row):
        measurement = measure(vae, x, first_row)
        return measurement.kl, measurement.transform_loss

    step, parts = on_replicas(both), []
    for row in range(0, len(x), 500):
        parts.append([np.asarray(part) for part in step(x[row:row + 500], row)])
    kl, distortion = map(np.concatenate, zip(*parts))
    forms = density.log_densities(vae, x, active=among, variance=variance)
    return {
        **{form: -log
           for form, log in forms.items()}, "rate": kl.sum(1), "distortion": distortion
    }


def scores_of_pixels(train, x, components, seed):
    """What scikit-learn makes of the same images, `[M, 784]` to learn from and `[N, 784]`: two
    scores, higher for odder.
    """
    from sklearn.decomposition import PCA
    from sklearn.ensemble import IsolationForest

    pca = PCA(components, random_state=seed).fit(train)
    error = np.square(x - pca.inverse_transform(pca.transform(x))).sum(1)
    return {
        "isolation_forest": -IsolationForest(random_state=seed).fit(train).score_samples(x),
        "pca": error
    }


def areas(digit, data, settings, directory, num_eval):
    """The areas of each score for one digit left out, `{score: AUC}`."""
    import tensorflow as tf

    from tfisovae.autoencoder.data import as_float

    (images, labels), (test, test_labels) = data
    rng = np.random.default_rng(digit)
    train = images[labels != digit]
    odd, usual = (rng.permutation(np.flatnonzero(which))[:num_eval]
                  for which in (test_labels == digit, test_labels != digit))
    x = as_float(tf.constant(test[np.concatenate([odd, usual])]))
    vae = trained(directory, train, settings)
    scores = scores_of_vae(vae, as_float(tf.constant(train[rng.permutation(len(train))[:2000]])), x)
    scores |= scores_of_pixels(train / np.float32(255), np.asarray(x), settings["latent_dim"],
                               settings["seed"])
    return {name: auc(score[:len(odd)], score[len(odd):]) for name, score in scores.items()}


def words(score):
    """What a table and a picture call a score."""
    return _WORDS.get(score, f"log p, {score.replace('_', ' ')}")


def by_score(saved):
    """`{score: [AUC of each digit]}` of odd.json, the best on average first."""
    found = {
        name: np.array([entry["auc"][name] for entry in saved["digits"]])
        for name in saved["digits"][0]["auc"]
    }
    return dict(sorted(found.items(), key=lambda item: -item[1].mean()))


def draw(saved, path=None):
    """The areas of every digit, and their mean with its standard error, for each score."""
    from tfisovae.show import drawing

    found, digits = by_score(saved), [entry["digit"] for entry in saved["digits"]]
    figure = drawing.Figure(figsize=(9.6, 0.42 * len(found) + 1.4), layout="constrained")
    axes = figure.subplots()
    for place, (name, values) in enumerate(found.items()):
        color = (palette.BLACK if name in ("isolation_forest", "pca") else
                 palette.VERMILION if name in ("rate", "distortion") else palette.BLUE)
        for digit, value in zip(digits, values):
            axes.text(value, place, str(digit), fontsize=8, ha="center", va="center", color=color,
                      alpha=0.75)
        error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0
        axes.errorbar(values.mean(), place + 0.32, xerr=error, fmt="o", color=color, markersize=4,
                      capsize=3)
    axes.set_yticks(range(len(found)), [words(name) for name in found], fontsize=9)
    axes.set_ylim(len(found) - 0.3, -0.6)
    axes.set_xlim(0, 1)
    axes.axvline(0.5, color="black", linewidth=0.8, linestyle=":")
    axes.set_xlabel(
        "area under the ROC curve. Digits: for the digit left out. Points: mean and standard error",
        fontsize=9)
    axes.set_title("How well each score finds a digit that training never showed (.5: chance)",
                   fontsize=10)
    if path is not None:
        drawing.save(figure, path)
    return figure


def check(args):
    """Raises ValueError for options that make no sense."""
    if not set(args.digits) <= set(range(10)) or len(set(args.digits)) != len(args.digits):
        raise ValueError(
            f"--digits must be different numbers from 0 to 9; got "
            f"{' '.join(map(str, args.digits))}."
        )
    for name, least in (("steps", 1), ("latent_dim", 1), ("num_eval", 1)):
        if getattr(args, name) < least:
            raise ValueError(f"--{name} must be at least {least}; got {getattr(args, name)}.")
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise ValueError("scikit-learn is missing: pip install tfisovae[results].") from None


def measure(args):
    """Trains, measures, and writes `odd.json`; returns what it holds."""
    check(args)
    settings, data, rows = {**SETTINGS, "steps": args.steps,
                            "latent_dim": args.latent_dim}, read(args.data), []
    for digit in tqdm.tqdm(args.digits, desc="digits left out", unit="digit", file=sys.stderr):
        directory = os.path.join(args.runs, f"without-{digit}")
        rows.append({"digit": digit, "auc": areas(digit, data, settings, directory, args.num_eval)})
    saved = {"settings": settings, "num_eval": args.num_eval, "digits": rows}
    files.write_json(os.path.join(args.out, "odd.json"), saved)
    return saved


def main(argv=None):
    args = parser().parse_args(argv)
    numbers, picture = (os.path.join(args.out, name) for name in ("odd.json", "odd.png"))
    try:
        os.makedirs(args.out, exist_ok=True)
        draw(measure(args) if args.data else files.read_json(numbers), picture)
    except (ValueError, OSError) as error:
        sys.exit(f"{parser().prog}: {error}")
    print(f"Written: {f'{numbers}, ' if args.data else ''}{picture}")


if __name__ == "__main__":
    main()
