"""Rates and distortions next to theory (Eqs. 13, 14), from measured means."""
import dataclasses
import math

from tfisovae import theory


@dataclasses.dataclass(frozen=True)
class Accounts:
    """Measured rate and distortion of a VAE with n active dimensions, and their theory for small
    beta.

    Attributes:
      num_active: n.
      beta: 1 / lmbda.
      rate: E[KL], nats.
      distortion: E[D], as trained.
      coding_loss, transform_loss: E[D(x_check, x_hat)], E[D(x, x_check)], each minus the D of a
        point from itself.
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
        """The transform loss over the coding loss; NaN without a coding loss."""
        return self.transform_loss / self.coding_loss if self.coding_loss > 0 else math.nan

    @property
    def bits(self) -> float:
        """The rate in bits."""
        return self.rate / math.log(2)

    @property
    def cost(self) -> float:
        """D + beta R, the loss of training, in units of D."""
        return self.distortion + self.beta * self.rate

    @property
    def rest(self) -> float:
        """The rest of the distortion beyond the two losses: D(x, x) of the data, if not 0, and
        cross terms.
        """
        return self.distortion - self.coding_loss - self.transform_loss

    @property
    def entropy(self) -> float:
        """R + (n/2) log(pi e beta), nats: the entropy of the data in the distortion's metric, from
        the rate by Eq. 14.
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
