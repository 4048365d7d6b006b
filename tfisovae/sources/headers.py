"""Decides whether the first line of a table holds column names or an example, if that is clear."""
import re
from collections.abc import Sequence

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)",
                     re.ASCII | re.IGNORECASE)
_INTEGER = re.compile(r"0|[1-9]\d{0,8}", re.ASCII)
_MISSING = {"", "NA", "N/A", "n/a", "#N/A", "<NA>", "null", "NULL", "None", "NaT", "?", "-"}
_TRUTHS = {"True", "False", "TRUE", "FALSE", "true", "false"}


def is_number(cell: str, decimal: str = ".") -> bool:
    """Whether a cell is a decimal number. Forms that only Python accepts, such as `2010_01`, are
    not.
    """
    if decimal != ".":
        cell = "x" if "." in cell else cell.replace(decimal, ".")
    return _NUMBER.fullmatch(cell) is not None


def is_truth(cell: str) -> bool:
    """Whether a cell is True or False."""
    return cell in _TRUTHS


def is_missing(cell: str) -> bool:
    """Whether a cell marks a missing value."""
    return cell in _MISSING


def is_index(column: Sequence[str]) -> bool:
    """Whether a column looks like an index: text, or whole numbers that count by one."""
    if not all(map(_INTEGER.fullmatch, column)):
        return not all(map(is_number, column))
    return len(column) > 1 and all(int(b) - int(a) == 1 for a, b in zip(column, column[1:]))


def guess(first: Sequence[str], rest: Sequence[Sequence[str]], decimal: str = ".") -> bool | None:
    """Distinguishes column names from numbers.

    Text over numbers is a header. Numbers are a header if they count the columns (pandas writes
    `0,1,2` for columns without names) or are years, and the lines below differ: their numbers have
    a fraction or another range.

    Args:
      first: cells of the first line, stripped.
      rest: cells of the next lines, as many as there are up to a hundred or so.
      decimal: the decimal sign.

    Returns:
      `True` for names, `False` for an example, `None` if it may be either.
    """
    valued = [is_number(cell, decimal) or is_truth(cell) for cell in first]
    values = [cell for cell, value in zip(first, valued) if value]
    texts = [
        k for k, (cell, value) in enumerate(zip(first, valued))
        if not value and not is_missing(cell)
    ]
    below = [[row[k] for row in rest if k < len(row) and not is_missing(row[k])]
             for k in range(len(first))]
    if not values:
        return bool(texts)  # nothing but missing values is an example
    if texts:
        dated = any(
            column and not is_number(column[0], decimal) for column in (below[k] for k in texts))
        named = _are_names(values, 1)
        return None if named == dated else named
    if first[0] == "" and len(values) == len(first) - 1:  # an index of pandas has no name
        return _are_names(values, 1) and is_index(below[0])
    if len(values) < len(first):
        return False
    return _are_names_over(values, below, rest, decimal)


def _are_names_over(values, below, rest, decimal):
    """As `guess`, for a line of numbers only."""
    width = len(values)
    if not all(_INTEGER.fullmatch(value) for value in values):
        rising = [row for row in rest if _rises(row, decimal)]
        return None if width >= 8 and len(rest) >= 3 and _rises(values,
                                                                decimal) and not rising else False
    broken = all(column and not any(_INTEGER.fullmatch(cell.lstrip("+-")) for cell in column)
                 for column in below)
    if width <= 2:  # a curve may begin at 0, 1
        if values not in (["0"], ["0", "1"]) and not (width == 2 and _are_years(values)):
            return False
        return (True if width == 2 and len(rest) >= 20 else None) if broken else False
    if not _are_names(values, 5):
        return False
    if any(
            len(row) == width and all(map(_INTEGER.fullmatch, row)) and _are_names(row, 5)
            for row in rest):
        return False if _are_years(values) else None
    if broken:
        return True
    ranges = [[float(cell.replace(decimal, ".")) for cell in column if is_number(cell, decimal)]
              for column in below]
    outside = any(column and not min(column) <= int(value) <= max(column)
                  for value, column in zip(values, ranges))
    return True if width >= 5 and outside else None


def _are_names(values, least):
    """Whether whole numbers count by one, are rising years, or (if there are many) count by any
    step.
    """
    if not all(_INTEGER.fullmatch(value) for value in values):
        return False
    numbers = [int(value) for value in values]
    steps = {b - a for a, b in zip(numbers, numbers[1:])}
    if len(numbers) == 1:
        return numbers == [0] or _are_years(values)
    return steps == {1} or _are_years(values) or (len(numbers) >= max(3, least) and len(steps) == 1
                                                  and min(steps) > 0)


def _are_years(values):
    numbers = [int(value) for value in values]
    return all(1900 <= number <= 2100
               for number in numbers) and all(a < b for a, b in zip(numbers, numbers[1:]))


def _rises(row, decimal):
    if not all(is_number(cell, decimal) for cell in row):
        return False
    numbers = [float(cell.replace(decimal, ".")) for cell in row]
    return all(a < b for a, b in zip(numbers, numbers[1:]))
