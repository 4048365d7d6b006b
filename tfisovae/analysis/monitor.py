"""Repeated measurements of a VAE in training on a few examples, for `callbacks.IsometryMonitor`."""
import concurrent.futures
import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae import metrics, theory
from tfisovae._autograph import compiled
from tfisovae.autoencoder import inspection
from tfisovae.autoencoder.autoencoder import AutoencoderLike, as_autoencoder, refuse
from tfisovae.autoencoder.networks import Networks
from tfisovae.geometry import pullback
from tfisovae.metrics import rate_distortion
from tfisovae.metrics.measurement import measure
from tfisovae.verdict.isometry import root_mean_cosine

_FIRST = 16  # examples that decide on the method for derivatives
_FEW = 4  # one in this many examples has its Gram matrix measured, which costs n + 1 decodes
_DECADES = 4  # of E[sigma^-2], from 1 on, in a picture
_BAR, _INACTIVE = (76, 114, 176), (200, 200, 200)  # colours


class Meter:
    """Measures a VAE on examples repeatedly, with a function that is compiled once.

    Rate, distortion, balance and importance are means over all examples; norm and cosines, which
    cost a decode for each latent dimension, over the first quarter of them. Layers are in inference
    mode, with the current weights, not with averaged ones. In the scope of a strategy only the
    first replica of this process measures, with its own averages of batch normalisation.

    Args:
      model: `VAE`, or what `as_autoencoder` takes.
      examples: `[N, ...]`, float32, at least one, of the same shape as later ones.
      **said: `distortion`, `beta` and `scale` of `as_autoencoder`.

    Raises:
      ValueError: if the distortion has no metric tensor, or the examples do not fit the model.
    """

    def __init__(self, model: AutoencoderLike, examples: tf.Tensor, **said: Any) -> None:
        self._autoencoder = as_autoencoder(model, **said)
        refuse(self._autoencoder, "IsometryMonitor", "conditional", "prior", "covariance")
        known = self._autoencoder.networks or Networks()
        if known.model is not None:  # its lmbda may be annealed
            self._autoencoder = known.model
        if known.check is not None:
            try:
                known.check(examples)
            except ValueError as error:
                raise ValueError(
                    f"The data of IsometryMonitor do not fit this VAE: {error}") from error
        self._seed, example = known.seed, examples[:_FIRST]
        self._autoencoder.distortion.check_quadratic(example)
        with as_first_replica():
            mean = self._autoencoder.encode(example)[0]
            _warn(self._autoencoder, example)
            self._tangents = pullback.tangent_method(self._autoencoder.decode, mean)
        # It is outside of a strategy's scope: the sums belong to this process.
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            thread.submit(self._make_metrics, mean.shape[-1]).result()
        self._step = compiled(
            self._update, input_signature=[tf.TensorSpec([None, *example.shape[1:]], tf.float32)])

    def _make_metrics(self, n):
        self._of_all = {
            "rate": metrics.Rate(), "precision": metrics.PosteriorPrecision(),
            "balance": metrics.PosteriorBalance(), "distortion": rate_distortion.Distortion()
        }
        self._of_few = {"norm": metrics.IsometricNorm(), "gram": metrics.GramOffDiagonal()}
        for metric in self._metrics():
            metric.build(n)

    @property
    def beta(self) -> float:
        """1 / lmbda now."""
        return self._autoencoder.beta

    def _metrics(self):
        return [*self._of_all.values(), *self._of_few.values()]

    def _update(self, x):
        few = -(-tf.shape(x)[0] // _FEW)
        for some, measures in ((x, self._of_all), (x[:few], self._of_few)):
            measurement = measure(self._autoencoder, some, seed=self._seed,
                                  tangents=self._tangents)
            for metric in measures.values():
                metric.accumulate(measurement)

    def __call__(self, x: tf.Tensor) -> dict[str, int | float]:
        """Measures on the examples `x` `[N, ...]`.

        Returns:
          `num_examples`; `active_dimensions`; over these `norm` (Eq. 15), `predicted_norm` E[1 -
          sigma_j^2], `cosine` (root mean square of those between different dimensions, Eq. 12) and
          `balance`; `rate`, nats; `distortion`; and for each dimension `importance_zJ`, (beta / 2)
          E[sigma_j^-2] (Eq. 16). Undefined numbers (such as without an active dimension) are NaN.
        """
        for metric in self._metrics():
            metric.reset_state()
        with as_first_replica():
            self._step(x)
        of = {**self._of_all, **self._of_few}
        active = of["rate"].active
        mean = {"norm": of["norm"].mean, "predicted_norm": of["balance"].target}
        return {
            "num_examples": int(x.shape[0]), "active_dimensions": int(active.sum()), **{
                name: float(values[active].mean()) if active.any() else np.nan
                for name, values in mean.items()
            }, "cosine": root_mean_cosine(of["gram"].cosine, np.flatnonzero(active)),
            "balance": float(of["balance"].result()) if active.any() else np.nan, "rate": float(
                of["rate"].result()), "distortion": float(of["distortion"].result()), **{
                    f"importance_z{j}": float(value) for j, value in enumerate(
                        theory.importance(of["precision"].mean, self.beta))
                }
        }


def _warn(autoencoder, example):
    """Warns where no number would mean anything: training goes on, which has just begun."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is doubtful of an untrained model is no news
            inspection.check(autoencoder, example)
    except ValueError as error:
        warnings.warn(str(error), stacklevel=2)


@contextlib.contextmanager
def as_first_replica() -> Iterator[None]:
    """Computes as the first replica of this process if a strategy has several: with its own
    variables only.

    Otherwise, reading the averages of batch normalisation in the scope of a strategy joins all
    replicas, and then every worker would have to measure.
    """
    strategy = tf.distribute.get_strategy()
    if not tf.distribute.in_cross_replica_context():
        yield
        return
    with tf.distribute.ReplicaContext(strategy, replica_id_in_sync_group=0), tf.device(
            strategy.extended.worker_devices[0]):
        yield


def spectrum_image(importance: np.ndarray, beta: float, height: int = 160) -> np.ndarray:
    """Bars of E[sigma_j^-2] in descending order, on a logarithmic axis from 1 (the foot) to 10^4,
    with a line at each decade.

    Args:
      importance: `[n]`, (beta / 2) E[sigma_j^-2].
      beta: 1 / lmbda.
      height: pixels.

    Returns:
      `[height, width, 3]`, uint8. Dimensions with E[sigma_j^-2] below 1.02 (sigma as in the prior)
      are grey.
    """
    precision = np.sort(np.nan_to_num(2 / beta * np.asarray(importance, float), nan=1.0))[::-1]
    bar = max(2, min(16, 512 // len(precision)))
    image = np.full([height, bar * len(precision), 3], 255, np.uint8)
    image[::-1][np.arange(1, _DECADES) * height // _DECADES] = 225
    tops = np.clip(np.log10(np.maximum(precision, 1)) / _DECADES * height, 1, height).astype(int)
    for place, (top, value) in enumerate(zip(tops, precision)):
        image[height - top:,
              bar * place:bar * (place + 1) - 1] = _BAR if value >= 1.02 else _INACTIVE
    return image
