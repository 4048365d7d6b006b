"""What measured numbers say of the embedding, and what not to conclude, in words (NumPy alone)."""
import dataclasses
import math

import numpy as np

from tfisovae.verdict import Verdict
from tfisovae.verdict.checks import MIN_EXAMPLES
from tfisovae.verdict.convergence import health, too_few

# Lengths, cosines and flatness up to this are said to be isometric, to the per cent that was
# measured.
CLOSE = 0.10
_FEW = 100  # examples, below which nothing is said of the embedding


@dataclasses.dataclass(frozen=True)
class Isometry:
    """What is said of the embedding. Vectors are over the active dimensions, `[k]`; NaN where
    something was not measured.

    Attributes:
      dimensions: their numbers. num_examples: N. rate: E[KL], nats.
      norm, norm_std: mean and deviation over the data of the squared norm (Eq. 15).
      prediction: E[1 - sigma_j^2], what the norm is at the optimum of a loss quadratic in x_hat,
        for a straight decoder.
      cosine: root mean square of the cosines between x_zj and x_zk.
      unexplained, unexplained_error: root mean square over the dimensions of `tfisovae.flatness`,
        and its standard error.
      quadratic: whether the loss is quadratic in x_hat, as the sum of squares and the decomposed
        losses are.
      beta_found, beta_differs: whether beta was estimated from these data, or given and
        contradicted by the posterior.
    """

    dimensions: np.ndarray
    num_examples: int
    rate: float
    norm: np.ndarray
    norm_std: np.ndarray
    prediction: np.ndarray
    cosine: float
    unexplained: float = math.nan
    unexplained_error: float = math.nan
    quadratic: bool = True
    beta_found: bool = False
    beta_differs: bool = False

    @property
    def length_errors(self) -> np.ndarray:
        """Root mean square over the data of the relative error of a length along each axis, `[k]`:
        half that of its square.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.hypot(self.norm / self.prediction - 1, self.norm_std / self.prediction) / 2

    @property
    def length_error(self) -> float:
        """Root mean square of `length_errors` over the dimensions."""
        return float(np.sqrt(np.mean(self.length_errors**2)))


def summary(verdict: Verdict, isometry: Isometry) -> str:
    """Three lines: is the training stationary; is the embedding isometric; what not to conclude.

    Args:
      verdict: of `judge`. isometry: `Isometry`.
    """
    count = len(isometry.dimensions)
    lines = ["Training: " + health(verdict, count, isometry.rate)]
    if verdict.broken or not (np.isfinite(isometry.norm).all()
                              and np.isfinite(isometry.prediction).all()):
        return "\n".join([
            *lines, "Embedding: NOT FINITE, so nothing can be said.",
            "Do not conclude anything from this model: find the input whose outputs are not finite."
        ])
    if not count:
        return "\n".join([
            *lines, "Embedding: there is none.",
            "Do not conclude anything from norms, cosines or densities of this model."
        ])
    return "\n".join([
        *lines, f"Embedding: {_embedding(verdict, isometry)}", "Do not conclude: "
        f"{'; '.join(_warnings(verdict, isometry))}."
    ])


def _embedding(verdict, isometry):
    if isometry.num_examples < _FEW:
        return too_few(isometry.num_examples, _FEW)
    wide = isometry.dimensions[isometry.prediction <= 0]
    if len(wide):
        return (
            f"not isometric: the posterior of z_{wide[0]} is wider than the prior (1 - sigma^2 = "
            f"{isometry.prediction[isometry.prediction <= 0][0]:.3g}), which no trained posterior "
            f"is."
        )
    errors = isometry.length_errors
    worst = int(np.argmax(errors))
    said = [
        f"lengths along the axes are {_share(isometry.length_error)} off those of 1 - sigma^2, "
        f"rms over data and dimensions, "
        f"most in z_{isometry.dimensions[worst]}, {_share(errors[worst])}: norm "
        f"{isometry.norm[worst]:.3f} +- "
        f"{isometry.norm_std[worst]:.2g} for "
        f"{isometry.prediction[worst]:.3f}"
    ]
    parts = {"the lengths": float(errors[worst])}
    if len(isometry.dimensions) > 1:
        said.append(f"cosines {isometry.cosine:.3f} rms")
        parts["the right angles"] = isometry.cosine
    if np.isfinite(isometry.unexplained):
        said.append(
            f"log sigma unexplained by its own z {isometry.unexplained:.3f} +- "
            f"{isometry.unexplained_error:.1g}"
        )
        parts["flatness along single axes"] = isometry.unexplained
    missing = [name for name, value in parts.items() if value > CLOSE]
    first = f"not isometric: what is missing are {', '.join(missing)}" if missing else f"isometric to {_share(max(parts.values()))}"
    unfinished = ", of a training that has not ended" if verdict.unfinished else ""
    return f"{first}{unfinished} ({'; '.join(said)})."


def _share(value):
    return f"{max(1, math.ceil(100 * value - 1e-9)):d} %"


def _warnings(verdict, isometry):
    """What not to conclude, one clause for each reason."""
    said = [
        "a norm on 1 - sigma^2 shows that sigma is balanced, not that the embedding is isometric"
        if isometry.quadratic else
        "with this loss the norm need not be 1 - sigma^2 at the optimum, so how far it is off "
        "tells of the loss too"
    ]
    if isometry.beta_found:
        said.append(
            "beta was found from the balance on these data, so that neither the balance nor the "
            "norms on average test it"
        )
    if isometry.beta_differs:
        said.append("norms follow from the beta that was given, which the posterior contradicts")
    if len(isometry.dimensions) >= 4 and isometry.cosine > CLOSE:
        said.append(
            "cosines need not vanish: orthogonal coordinates exist in general for up to 3 "
            "dimensions only"
        )
    if not np.isfinite(isometry.unexplained):
        said.append("flatness was not measured")
    elif isometry.unexplained > CLOSE:
        said.append(
            "a curved data manifold has no isometric embedding at all, however long the training")
    few = verdict.num_examples is not None and verdict.num_examples < MIN_EXAMPLES
    if not (verdict.unfinished or verdict.hints or few):
        said.append("no sign against convergence is not a proof of it")
    return said
