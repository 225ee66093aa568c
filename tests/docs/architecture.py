"""Write the listing and the import diagram of docs/architecture.md from the code: `make architecture`."""

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import grimp

DOCUMENT = Path("docs/architecture.md")
PACKAGES = ("gateway_project", "core", "dicom", "relay", "worklist", "images", "dashboard", "nonprod")
#: Drawn as packages of their own.
SUBPACKAGES = ("relay.hybrid_connection", "worklist.query", "worklist.performed_step")
#: Not listed: Django's own places, which hold what their names say.
DJANGO = {"migrations", "management", "formats", "templatetags"}
COLUMN, WIDTH = 32, 120


def summary(module: Path) -> str:
    """The first sentence of a module's docstring, without its full stop."""
    docstring = ast.get_docstring(ast.parse(module.read_text())) or ""
    paragraph = " ".join(docstring.split("\n\n")[0].split())
    return re.split(r"(?<=[a-z0-9)`?])\.(?: |$)", paragraph)[0].removesuffix(".")


def entry(name: str, depth: int, description: str) -> str:
    head = f"{'    ' * depth}{name}"
    head = f"{head:<{COLUMN}}" if len(head) < COLUMN else f"{head} "
    return (
        textwrap.fill(description, WIDTH, initial_indent=head, subsequent_indent=" " * COLUMN) if description else head
    )


def entries(package: Path, depth: int = 0) -> Iterator[str]:
    """The lines of a package: its modules, then its packages, each in alphabetical order."""
    yield entry(f"{package.name}/", depth, summary(package / "__init__.py"))
    for module in sorted(package.glob("*.py")):
        if module.name not in ("__init__.py", "apps.py"):
            yield entry(module.name, depth + 1, summary(module))
    for folder in sorted(package.iterdir()):
        if (folder / "__init__.py").exists() and folder.name not in DJANGO:
            yield from entries(folder, depth + 1)


def listing() -> str:
    """Every package and module, under its folder, with what it does."""
    return "\n".join(line for package in PACKAGES for line in entries(Path(package)))


def package_of(module: str) -> str:
    """The innermost drawn package that a module belongs to."""
    drawn = (name for name in (*PACKAGES, *SUBPACKAGES) if module == name or module.startswith(f"{name}."))
    return max(drawn, key=len)


def diagram() -> str:
    """The imports between packages, as mermaid draws them."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    edges = {
        (package_of(importer), package_of(imported))
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    }
    lines = [f"    {importer} --> {imported}" for importer, imported in sorted(edges) if importer != imported]
    return "\n".join(["graph TD", *lines])


def document() -> str:
    """The document with its listing and its diagram as the code is now."""
    text = DOCUMENT.read_text()
    for language, content in (("text", listing()), ("mermaid", diagram())):
        block = f"```{language}\n{content}\n```".replace("\\", r"\\")
        fence = rf"^```{language}\n.*?^```$"
        text = re.sub(fence, block, text, count=1, flags=re.DOTALL | re.MULTILINE)
    return text


def write() -> None:
    DOCUMENT.write_text(document())
