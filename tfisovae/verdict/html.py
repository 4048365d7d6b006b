"""Results in notebooks: a small table and a few lines, as HTML."""
import html
import math
from collections.abc import Iterable, Sequence


def of(title: str, columns: Sequence[str] = (), rows: Iterable[Sequence[object]] = (),
       lines: Iterable[str] = ()) -> str:
    """A title, a table, and lines of text below it.

    Args:
      title: one line.
      columns: names of the columns; without any there is no table.
      rows: their values; numbers get 4 digits.
      lines: of text; may hold line breaks.
    """
    made = [f"<p><b>{html.escape(title)}</b></p>"]
    if columns:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
        made.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
    made += [f"<p>{html.escape(part)}</p>" for line in lines for part in str(line).splitlines()]
    return "\n".join(made)


def _cell(value):
    said = str(value)
    if isinstance(value, float):
        said = "-" if math.isnan(value) else f"{value:.4g}"
    return f"<td>{html.escape(said)}</td>"
