"""Names for options. Their modules import TensorFlow, so they are repeated here; a test compares
them.
"""

IMAGES = ("celeb_a", "faces")  # tfisovae.sources.NAMES
CROPS = ("center", "none", "celeba")  # tfisovae.sources.decoding.CROPS
TOYS = ("mix", "ramp", "norm")  # tfisovae.sources.TOYS
# tfisovae.autoencoder.posterior.READINGS.
SCALES = ("log_variance", "variance", "log_scale", "scale")
# tfisovae.density.FORMS
FORMS = ("prior", "objective", "posterior", "scaled_objective", "scaled_posterior", "volume",
         "corrected_volume")
METHODS = ("auto", "exact", "estimated")  # tfisovae.analysis.measuring.METHODS
