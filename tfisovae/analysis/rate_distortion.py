"""Rates and distortions beside their theory (Eqs. 13, 14), from measured means."""
import dataclasses
import math

from tfisovae import theory


@dataclasses.dataclass(frozen=True)
class Accounts:
    """What was measured of a VAE with n active dimensions, and what theory makes of it; the theory
    is for small beta.

    Attributes:
      num_active: n.
      beta: 1 / lmbda.
      rate: E[KL], nats.
      distortion: E[D], as trained. coding_loss, transform_loss: E[D(x_check, x_hat)], E[D(x,
        x_check)], each without D of a point from itself.
    """

    num_active: int
    beta: float
    rate: float
    distortion: float
    coding_loss: float
    transform_loss: float

    @property
    def coding_theory(self) -> float:
        """n beta / 2."""
        return self.num_active * self.beta / 2

    @property
    def ratio(self) -> float:
        """The transform loss over the coding loss; NaN where there is none of that."""
        return self.transform_loss / self.coding_loss if self.coding_loss > 0 else math.nan

    @property
    def bits(self) -> float:
        """The rate in bits."""
        return self.rate / math.log(2)

    @property
    def cost(self) -> float:
        """D + beta R, what training lowers, in units of D."""
        return self.distortion + self.beta * self.rate

    @property
    def rest(self) -> float:
        """What the two losses leave of the distortion: D(x, x) of the data, where that is not 0,
        and what crosses.
        """
        return self.distortion - self.coding_loss - self.transform_loss

    @property
    def entropy(self) -> float:
        """R + (n/2) log(pi e beta), nats: what Eq. 14 makes of the rate, the entropy of the data in
        the distortion's metric.
        """
        return self.rate + theory.noise_entropy(self.num_active, self.beta)

    def __str__(self) -> str:
        return "\n".join([
            f"coding loss {self.coding_loss:.5g}, n beta / 2 = {self.coding_theory:.5g} (n = "
            f"{self.num_active}); transform loss "
            f"{self.transform_loss:.5g}, {self.ratio:.3g} of it"
            if self.coding_loss > 0 else f"coding loss {self.coding_loss:.5g}",
            f"rate {self.rate:.3f} nats = {self.bits:.3f} bits; D + beta R = "
            f"{self.distortion:.5g} + "
            f"{self.beta * self.rate:.5g} = {self.cost:.5g}",
            f"entropy R + (n/2) log(pi e beta) = {self.entropy:.3f} nats"
        ])
