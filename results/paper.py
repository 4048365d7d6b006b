"""The numbers of the paper, for the tables."""

# Latent variables in ascending order of E[sigma^-2], as the paper prints them.
TOY = {
    "sse": {
        "title": "Table 1, Fig. 8", "norm_mean": (0.965, 0.925, 0.972), "norm_std": (
            0.054, 0.164, 0.098), "derivative_mean": (0.162, 0.726, 2.922),
        "derivative_std": (0.040, 0.466, 1.738), "precision_mean": (33.3, 146, 589),
        "transform_to_coding": 0.023, "correlation": {"objective": 0.904}
    },
    "downward_convex": {
        "title": "Table 2, Fig. 3", "norm_mean": (0.964, 0.928, 0.978), "norm_std": (
            0.060, 0.160, 0.088), "derivative_mean": (0.161, 0.696, 2.695), "derivative_std": (
                0.063, 0.483, 1.573), "precision_mean": (33.0, 140, 543),
        "transform_to_coding": 0.024, "correlation": {
            "prior": 0.434, "objective": 0.771, "scaled_posterior": 0.91, "scaled_objective": 0.91
        }
    },
}


# By network: (where, active dimensions, norm).
IMAGES = {
    "celeba": (("Fig. 4: CelebA, conventional", "26 of 32", "1.83 +- .13"),
               ("Fig. 5: CelebA, decomposed", "32 of 32", ".92 +- .04")),
    "celeba_large": (("Fig. 24a: CelebA, conventional", "-", "1.25"),
                     ("Fig. 24b: CelebA, decomposed", "-", ".95")),
    "mnist": (("Fig. 25: MNIST", "-", "near 1 where E[sigma^-2] > 10, lower below"), ),
}

# Of Fig. 25: (where, E[sigma^-2], norm).
PRECISIONS = (("Fig. 25", "above 10", "near 1"), ("Fig. 25", "up to 10", "lower"))

# What the text of appendix E.2 says of Figs. 11-19, in the columns of the table of the ablation.
ABLATION = ("Figs. 11-19", "near 1", "-", "near 4 and 16, at 5 to 500", "-",
            "about .9 (Mix, Ramp), near 1 (Norm)", "-", "-")


def of_toy_run(config):
    """The paper's figures for a run of this configuration, or `None`: they are for Mix at lmbda
    100.
    """
    same = (config["network"] == "toy" and config["data"] == "mix" and config["lmbda"] == 100
            and config["latent_dim"] == 3 and not config["decomposed"])
    return TOY.get(config["distortion"]) if same else None
