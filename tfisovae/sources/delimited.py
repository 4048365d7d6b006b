"""Text tables such as CSV. pandas parses them; this module guesses the format and reports its
guesses.
"""
import csv
import io
import itertools
import re
from collections.abc import Callable

import numpy as np

from tfisovae.sources import content, headers

SEPARATORS = {",": ",", ";": ";", "tab": "\t", "|": "|", "whitespace": r"\s+"}
_HEAD, _CELLS = 100, 100_000  # lines that guesses use, fewer if they are long
_TEXT = ("Leave text columns out: list the names or numbers (from 0) of the other columns in "
         "columns.")
_OTHERS = {
    b"PK\x03\x04": "a zip file or an Excel workbook", b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"PAR1": "Parquet", b"\x93NUMPY": "a .npy file"
}


def read(
    path: str, header: str = "auto", separator: str | None = None, decimal: str | None = None
) -> tuple[Callable[[list[int]], np.ndarray], list[str] | None, int, dict[str, str], str]:
    """Reads a table of text.

    Args:
      path: the file, in UTF-8 or, where it begins with its mark, UTF-16; also packed by gzip.
      header: "yes", "no", or "auto": see `headers.guess`.
      separator: of columns, a key of `SEPARATORS` (or a tab, or a blank); `None`: the one that
        turns most lines into numbers.
      decimal: "." or ","; `None`: the comma if it does not separate columns, is found between
        digits, and no point is.

    Returns:
      `(parse, names, width, options, encoding)`: a function from positions of columns to their
      numbers, `[N, m]` float64; the names of all columns, or `None` without a header; their number;
      the header, separator and decimal found; "utf-8" or "utf-16".

    Raises:
      ValueError: if it is not a text table, or its format is not clear.
    """
    data, encoding = _text(path)
    separator = _separator(data, separator, path)
    data = _without_empty_end(data, separator)
    head = _head(path, data, separator)
    if not head:
        raise ValueError(f"{path} holds no rows.")
    if not any(head[0]):
        raise ValueError(f"{path}, line 1 is empty. Remove it.")
    decimal = _decimal(path, data, separator, decimal)
    has_header = _has_header(path, head, header, decimal)
    names, first = (_names(head[0]), head[1:2]) if has_header else (None, head)
    if not first:
        raise ValueError(f"{path} holds no rows.")
    if not any(first[0]):
        raise ValueError(f"{path}: the line under the header is empty. Remove it.")
    width = len(first[0])
    if names is not None and len(names) != width:
        if len(names) != width - 1 or not headers.is_index([row[0] for row in head[1:] if row]):
            raise ValueError(
                f"{path}: the header names {len(names)} columns, and the row under it has {width}.")
        names = ["", *names]  # as R writes a table: its row names have no name
    options = {"header": "yes" if has_header else "no", "separator": separator, "decimal": decimal}
    return (
        lambda chosen: _parse(path, data, options, chosen, width)), names, width, options, encoding


def _text(path):
    data = content.read(path)
    kind = next((kind for mark, kind in _OTHERS.items() if data.startswith(mark)), None)
    if re.match(rb"\s*<(!doctype|html)", data[:200], re.IGNORECASE):
        kind = "a web page"
    if kind:
        raise ValueError(
            f"{path} is {kind} by its content, not a CSV file. Save the table as CSV in UTF-8.")
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is no CSV file in {'UTF-16' if wide else 'UTF-8'} ({error}). Save it as CSV "
            f"in UTF-8."
        ) from None
    if "\0" in text:
        raise ValueError(
            f"{path} is not a CSV file in UTF-8: it holds zero bytes. Is it UTF-16? Save it as CSV "
            "in UTF-8."
        )
    return (text.encode()
            if wide else data.removeprefix(b"\xef\xbb\xbf")), "utf-16" if wide else "utf-8"


def _separator(data, separator, path):
    if separator is not None:
        separator = {"\t": "tab", "\\t": "tab", " ": "whitespace", r"\s+": "whitespace"}.get(
            separator, separator)
        if separator not in SEPARATORS:
            raise ValueError(
                f"separator must be one of {', '.join(map(repr, SEPARATORS))}; got {separator!r}.")
        return separator
    scores = {}
    for name in ("tab", ";", ",", "|", "whitespace"):
        try:
            rows = [row for row in _head(path, data, name) if any(row)]
        except ValueError:  # a line of more characters than a cell may have
            continue
        widths = [len(row) for row in rows]
        width = max(set(widths), key=widths.count, default=0)
        alike = [row for row in rows if len(row) == width > 1]
        signs = (".",) if name == "," else (".", ",")
        numbers = sum(
            all(not cell or any(headers.is_number(cell, sign) for sign in signs) for cell in row)
            for row in alike)
        scores[name] = (numbers, len(alike) if width > 1 and len(alike) > len(rows) / 2 else 0)
    best = max(scores, key=scores.get, default=",")
    return best if any(scores.get(best, ())) else ","


def _without_empty_end(data, separator):
    """Drops lines at the end that are empty or hold only separators, as spreadsheets write them."""
    blank = b" \t\r\n" + (separator.encode() if len(separator) == 1 else b"")
    end = len(data)
    while end:
        start = max(data.rfind(sign, 0, end - 1) for sign in (b"\n", b"\r")) + 1
        if data[start:end].strip(blank):
            break
        end = start
    return data[:end]


def _rows(data, separator):
    """The cells of each line, stripped, with the number of the line, from 1."""
    lines = io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="")
    if separator == "whitespace":
        for number, line in enumerate(lines, 1):
            yield number, [cell.strip('"') for cell in re.findall(r'(?:"[^"]*"|[^\s"])+', line)]
    else:
        reader = csv.reader(lines, delimiter=SEPARATORS[separator], skipinitialspace=True)
        for row in reader:
            yield reader.line_num, [cell.strip(" \t\r\n") for cell in row]


def _head(path, data, separator):
    head, cells = [], 0
    with content.naming(path, "CSV"):
        for _, row in itertools.islice(_rows(data, separator), _HEAD + 1):
            head.append(row)
            cells += len(row)
            if cells > _CELLS and len(head) > 4:
                break
    return head


def _decimal(path, data, separator, decimal):
    if decimal not in (None, ".", ","):
        raise ValueError(f"decimal must be '.' or ','; got {decimal!r}.")
    if decimal == "," and separator == ",":
        raise ValueError(
            f"{path}: commas cannot be both the separator and the decimal sign. Set separator. If "
            "commas separate columns and quoted cells have decimal commas, save the table with "
            "';'."
        )
    if decimal or separator == "," or not re.search(rb"\d,\d", data):
        return decimal or "."
    if re.search(rb"\d\.\d", data):
        return "."  # a cell with a comma is refused later
    if not re.search(rb"(?<![\d,])(0\d*,|\d{4,},|\d+,\d{0,2}(?!\d)|\d+,\d{4})", data):
        raise ValueError(
            f"{path} has numbers like 1,234, where the comma may be a decimal sign or a thousands "
            "separator. Use decimal=',' for a decimal sign. Remove the commas otherwise.")
    return ","


def _has_header(path, head, option, decimal):
    if option not in ("auto", "yes", "no"):
        raise ValueError(f"header must be 'auto', 'yes' or 'no'; got {option!r}.")
    if option != "auto":
        return option == "yes"
    guessed = head[0][0].startswith("#") or headers.guess(head[0], head[1:], decimal)
    if guessed is None:
        shown = ", ".join(head[0][:5]) + (", ..." if len(head[0]) > 5 else "")
        raise ValueError(
            f"{path}: the first line ({shown}) may hold column names or an example. Use "
            "header='yes' or header='no'.")
    return guessed


def _names(cells):
    """The names of a header, without NumPy's comment mark."""
    if cells[0].startswith("#"):
        first = cells[0].lstrip("# ")
        return [first, *cells[1:]] if first else cells[1:]
    return cells


def _parse(path, data, options, chosen, width):
    """Chosen columns by pandas, float64. If pandas fails or values are missing, the bad line is
    searched.
    """
    import pandas as pd

    separator, decimal = SEPARATORS[options["separator"]], options["decimal"]
    x = reason = None
    try:
        with content.naming(path, "CSV"):
            kept, every = set(chosen), chosen == list(range(width))
            frame = pd.read_csv(
                io.BytesIO(data), header=None, skiprows=int(options["header"] == "yes"),
                sep=separator, decimal=decimal, low_memory=False, float_precision="round_trip",
                skipinitialspace=True, skip_blank_lines=False, dtype=np.float64
                if every else {k: np.float64 if k in kept else str
                               for k in range(width)})
            x = (frame if every else frame[chosen]).to_numpy(np.float64)
            # The last cell of a line that is too short.
            missing = np.isnan(x).any() or frame[width - 1].isna().any()
    except ValueError as error:
        reason = str(error)
    if reason or missing:
        reason = _fault(path, data, options, chosen, width) or reason
    if reason:
        raise (content.TextColumn if reason.endswith(_TEXT) else ValueError)(reason)
    return x


def _fault(path, data, options, chosen, width):
    """The fault of the first line that is not a row of numbers; `None` if there is none (NaN is a
    number).
    """
    decimal, truths = options["decimal"], None
    with content.naming(path, "CSV"):
        for number, row in itertools.islice(_rows(data, options["separator"]),
                                            int(options["header"] == "yes"), None):
            where = f"{path}, line {number}"
            if not any(row):
                return (f"{where} is empty. Remove it or fill it: otherwise the rows below get "
                        "other numbers.")
            if len(row) != width:
                return f"{where}: {len(row)} columns, but the first row has {width}."
            truths = truths or [headers.is_truth(cell) for cell in row]
            for k in chosen:
                complaint = _complaint(row[k], decimal, truths[k])
                if complaint:
                    return f"{where}, column {k + 1}: {complaint}"
    return None


def _complaint(cell, decimal, truth):
    """The fault of a cell in a column of numbers or booleans, or `None`."""
    shown = repr(cell if len(cell) <= 40 else cell[:40] + "...")
    spaces = [sign for sign in cell if sign.isspace() and sign not in " \t\r\n"]
    if spaces:
        return (f"{shown} has the character U+{ord(spaces[0]):04X}, which looks like a space. "
                "Remove it from the table.")
    if headers.is_truth(cell) != truth and not headers.is_missing(cell):
        return f"{shown} is in a column of {'True and False' if truth else 'numbers'}."
    if headers.is_number(cell, decimal):
        large = cell[-1].isdigit() and np.isinf(float(cell.replace(decimal, ".")))
        return f"{shown} is too large for a number of 64 bits." if large else None
    if truth and not headers.is_missing(cell):
        return None
    if headers.is_missing(cell):
        return (f"{shown} is a missing value. Remove or fill such rows, or leave the column out "
                "with columns.")
    if re.fullmatch(r"[+-]?\d[\d.,' ]*", cell):
        return (
            f"{shown} is not a number with the decimal sign {decimal!r}. Remove thousands "
            "separators, or set decimal to another decimal sign.")
    return f"{shown} is not a number. {_TEXT}"
