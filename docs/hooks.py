"""What the site needs that a forge does not: files outside docs/ that pages link to, and the full
docstrings of the API.
"""
import os
import posixpath
import re

from mkdocs.structure.files import File

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_OUTSIDE = re.compile(r"\]\(\.\./([^)#\s]+)(?:#[^)]*)?\)")
_NAME = re.compile(r"^\| \[`([\w.]+)`\]", re.M)


def _place(path):
    """Where a file of the repository is in the site. Markdown is shown as text."""
    return posixpath.join("repository", path + (".txt" if path.endswith(".md") else ""))


def on_files(files, config):
    """Adds every file that a page links to with `../`."""
    for page in list(files.documentation_pages()):
        with open(page.abs_src_path) as file:
            for path in _OUTSIDE.findall(file.read()):
                if files.get_file_from_path(_place(path)) is None:
                    files.append(File.generated(config, _place(path),
                                                abs_src_path=os.path.join(ROOT, path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Leads links to these files, and shows the docstring of each name of the API."""
    markdown = _OUTSIDE.sub(lambda found: f"]({_place(found[1])})", markdown)
    if page.file.src_uri == "api.md":
        markdown += "\n## In full\n\n" + "\n\n".join(
            f"::: {name}" for name in _NAME.findall(markdown))
    return markdown
