"""Draw what the paper shows of its closed forms, without a trained model: Figs. 2, 9, 10, 26, 27,
and closed_forms.json.
"""
import argparse
import os
import sys

from results import figures_theory
from tfisovae import files, sources, theory
from tfisovae.commands import measuring
from tfisovae.show import drawing


def parser():
    """The options."""
    p = argparse.ArgumentParser(prog="python -m results.closed_forms", description=__doc__,
                                formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("directory", nargs="?", default="runs/closed_forms",
                   help="where to write; files of these names are replaced")
    return p


def measure():
    """The numbers: the Norm data at some lmbda (Eq. 4 and the linear VAE), and the excess rate of a
    quantiser.
    """
    variances = [float(shape.var()) for shape in sources.TOYS["norm"]]
    linear = []
    for lmbda in (1, 5, 100):
        vae = theory.LinearVAE(variances, 1 / lmbda)
        rate, distortion = theory.reverse_water_filling(variances, 1 / lmbda / 2)
        linear.append({
            "lmbda": lmbda, "distortion": float(vae.distortion.sum()), "rate": float(
                vae.rate.sum()), "norm": vae.norm.tolist(), "precision": vae.precision.tolist(),
            "water_filling_distortion": float(distortion), "water_filling_rate": float(rate)
        })
    excess = [{"scale": scale, "excess_nats": float(theory.quantizer_excess_rate(scale))}
              for scale in (0.1, 0.2, 0.3)]
    return {"variances": variances, "linear_vae": linear, "quantizer": excess}


def main(argv=None):
    args = parser().parse_args(argv)
    try:
        os.makedirs(args.directory, exist_ok=True)
        files.write_json(os.path.join(args.directory, "closed_forms.json"), measure())
        drawn = {
            "toy_sources": figures_theory.toy_sources,
            "scale_factors": figures_theory.scale_factors,
            "crossentropy_metric": figures_theory.crossentropy_metric,
            "quantizer_rates": figures_theory.quantizer_rates
        }
        for name, draw in drawn.items():
            drawing.save(draw(), os.path.join(args.directory, f"{name}.png"))
    except OSError as error:
        sys.exit(f"{parser().prog}: {error}")
    print(measuring.written(args.directory, "closed_forms.json",
                            *(f"{name}.png" for name in drawn)))


if __name__ == "__main__":
    main()
