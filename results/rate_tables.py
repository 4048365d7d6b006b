"""Tables of rates: files of published runs compared with theory and with other codecs."""
import os

from results import layout
from results.rate import place
from tfisovae.codec import claims
from tfisovae.codec.breakdown import Ledger, bits_at


def _ledgers(directories):
    return [(layout.name(path), Ledger.load(os.path.join(path, "rate.json")))
            for path in sorted(directories, key=place)]


def rate_table(directories):
    """Bits, distortion and slope of files, and their theory; the last two columns are
    causes, bits.
    """
    lines = [
        "| data | n coded | KL | KL + n log2(pi e / 6) / 2 | exact quantiser | files | D of files "
        "/ posterior | coding loss / "
        "(n beta / 2) | posterior's | E[1 - sigma^2] | -dD/dR / beta | sigma beside z | within a "
        "step |",
        "| --- " * 13 + "|"
    ]
    for name, ledger in _ledgers(directories):
        theory, terms = ledger.num_coded * ledger.beta / 2, ledger.bit_terms
        lines.append(
            f"| {name} | {ledger.num_coded} of {len(ledger.coded)} | {terms['KL']:.3f} | "
            f"{ledger.predicted_bits:.3f} | "
            f"{ledger.exact_bits.sum():.3f} | {ledger.coded_bits:.3f} | "
            f"{ledger.distortion / ledger.posterior_distortion:.4f} | "
            f"{ledger.coding_loss / theory:.3f} | {ledger.posterior_coding_loss / theory:.3f} | "
            f"{ledger.one_minus_variance[ledger.coded].mean():.3f} | {ledger.slope:.3f} +- "
            f"{ledger.slope_standard_error:.3f} | "
            f"{terms['sigma beside z']:+.3f} | {terms['sigma within a step']:+.3f} |")
    return "\n".join(lines)


def beside_table(directories):
    """Bits of others at the distortion of the files: at their SSIM of images, at their D of toy
    data.
    """
    lines = [
        "| data | at | files | with the container | others: bits at the same distortion |",
        "| --- " * 5 + "|"
    ]
    for name, ledger in _ledgers(directories):
        images = ledger.trained.dissimilarity is not None
        at = ledger.trained.dissimilarity if images else ledger.distortion
        others = ", ".join(
            f"{other} {_bits(points, at)}" for other, points in ledger.beside.items())
        lines.append(
            f"| {name} | {'1 - SSIM' if images else 'D'} = {at:.4g} | {ledger.coded_bits:.2f} | "
            f"{ledger.file_bits:.2f} | "
            f"{others} |")
    return "\n".join(lines)


def _bits(points, at):
    """Bits at a distortion, to three digits; of a curve that does not go as far, those of its
    nearest end, and of what.
    """
    bits = bits_at(points, at)
    if bits is not None:
        return f"{bits:.4g}"
    end = (min if at < min(point["distortion"] for point in points) else max)(
        points, key=lambda point: point["distortion"])
    return f"({end['bits']:.4g} at {end['distortion']:.3g})"


def causes_table(directories):
    """What the bits of a file are the sum of."""
    ledgers = _ledgers(directories)
    names = list(ledgers[0][1].bit_terms)
    lines = [
        f"| data | {' | '.join(names)} | sum | off the prior | tables of the data save |",
        "| --- " * (4 + len(names)) + "|"
    ]
    for name, ledger in ledgers:
        terms = ledger.bit_terms
        saved = ("-" if ledger.fitted_bits is None else
                 f"{ledger.table_bits.sum() - ledger.fitted_bits:.3f}")
        lines.append(
            f"| {name} | {' | '.join(f'{terms[term]:.3f}' for term in names)} | "
            f"{ledger.file_bits:.3f} | "
            f"{claims.divergence(ledger.aggregate_kl_bits[ledger.coded].sum()):.3f} | {saved} |")
    return "\n".join(lines)
