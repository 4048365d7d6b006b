"""The history of a run: a row of `history.csv` for each interval of logging."""
import csv

from tfisovae import files

COLUMNS = ("step", "loss", "distortion", "rate", "active_dimensions")


def read(path):
    """The whole rows of a `history.csv`, dicts of strings; none where there is no file, or an empty one.

    Raises:
      files.DamagedFile: if it is no history.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except FileNotFoundError:
        return []
    except (UnicodeDecodeError, csv.Error):
        rows = [[]]
    if not rows:
        return []
    names = rows[0]
    if "step" not in names:
        raise files.DamagedFile(f"{path} is not as the training wrote it: its first line should be {','.join(COLUMNS)}. Move it "
                                "elsewhere, and give the command again: the training goes on from its checkpoint, and the history "
                                "begins there.")
    whole = [dict(zip(names, row)) for row in rows[1:] if len(row) == len(names)]
    return [row for row in whole if row["step"].isdecimal()]


def last_step(path):
    """The step of the last whole row; 0 where there is none."""
    return max((int(row["step"]) for row in read(path)), default=0)
