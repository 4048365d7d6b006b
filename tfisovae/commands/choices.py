"""Names that options take. What they name takes seconds to import; a test holds these to it."""

IMAGES = ("celeb_a", "faces")  # tfisovae.sources.NAMES
CROPS = ("center", "none", "celeba")  # tfisovae.sources.framing.CROPS
TOYS = ("mix", "ramp", "norm")  # tfisovae.sources.TOYS
SCHEDULES = ("constant", "cosine")  # tfisovae.training.loop.SCHEDULES
# tfisovae.training.devices.STRATEGIES.
STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker")
# tfisovae.autoencoder.posterior.READINGS.
SCALES = ("log_variance", "variance", "log_scale", "scale")
# tfisovae.density.FORMS
FORMS = ("prior", "objective", "posterior", "scaled_objective", "scaled_posterior", "volume",
         "corrected_volume")
ANNEALINGS = ("linear", "cosine", "cyclical")  # tfisovae.callbacks.annealing.ANNEALINGS
PRECISIONS = ("auto", "none", "bfloat16", "float16")  # tfisovae.training.precision.CHOICES
STEPS = ("decoder", "posterior", "z")  # tfisovae.geometry.traversals.STEPS
QUANTIZATIONS = ("universal", "rounding")  # tfisovae.codec.QUANTIZATIONS
PRIORS = ("normal", "empirical")  # tfisovae.codec.PRIORS
