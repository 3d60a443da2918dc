"""What the committed notebooks promise; make verify runs them."""

import ast
import json
import re
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
TALES = [path for path in NOTEBOOKS if path.stem[0].isdigit() or path.stem == "mini_project"]
PACKAGES = {"slime", "baselines", "foundations", "matplotlib", "numpy", "pandas", "torch", "xarray"}
LARGEST = 600_000  # bytes
ABSOLUTE = re.compile(
    r"(?<![\w.:/<])/(?:tmp|home|root|work|Users|usr|var|private|opt|mnt|dev|content)/|\b[A-Z]:\\"
)
MOMENT = re.compile(r"\b20\d\d-\d\d-\d\d\b|\b0x[0-9a-f]{6,}\b|\b\d+(?:\.\d+)? s in all\b")
TRAP = "mistake"

every = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_tale = pytest.mark.parametrize("path", TALES, ids=lambda path: path.stem)


def cells(path, kind):
    held = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in held if cell["cell_type"] == kind]


def source(cell):
    """The code of a cell without the lines that are for IPython alone."""
    lines = "".join(cell["source"]).splitlines()
    return "\n".join(re.sub(r"^(\s*)[%!].*", r"\1pass", line) for line in lines)


def texts(cell):
    """Everything that a cell printed or shows as text."""
    for output in cell["outputs"]:
        yield "".join(output.get("text", ""))
        for kind, value in output.get("data", {}).items():
            if kind.startswith("text/"):
                yield "".join(value)


def trees(path):
    return [ast.parse(source(cell)) for cell in cells(path, "code")]


def test_every_notebook_of_the_tale_is_named_in_the_readme():
    assert len(TALES) == 7
    readme = (TALES[0].parents[1] / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in TALES if f"notebooks/{path.name}" not in readme] == []


@every
def test_a_notebook_was_run_from_top_to_bottom_without_an_error(path):
    code = cells(path, "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    kinds = [output["output_type"] for cell in code for output in cell["outputs"]]
    assert "error" not in kinds
    assert kinds
    shown = [set(output.get("data", {})) for cell in code for output in cell["outputs"]]
    assert path not in TALES or any("image/png" in one for one in shown)
    streams = [output for cell in code for output in cell["outputs"] if "name" in output]
    assert not ["".join(one["text"]) for one in streams if one["name"] == "stderr"]


@each_tale
def test_a_notebook_imports_what_it_uses_and_defines_nothing(path):
    defined = [
        node
        for tree in trees(path)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda))
    ]
    assert not defined, [ast.unparse(node) for node in defined]
    nodes = [node for tree in trees(path) for node in ast.walk(tree)]
    names = {a.name for node in nodes if isinstance(node, ast.Import) for a in node.names}
    names |= {node.module or "." for node in nodes if isinstance(node, ast.ImportFrom)}
    roots = {name.split(".")[0] for name in names}
    assert roots <= PACKAGES | set(sys.stdlib_module_names)
    assert roots & {"slime", "foundations"}


@every
def test_a_notebook_is_small_and_tells_nothing_of_the_machine_and_the_day_that_ran_it(path):
    assert path.stat().st_size <= LARGEST
    held = json.loads(path.read_text(encoding="utf-8"))
    assert all(not cell["metadata"].get("execution") for cell in held["cells"])
    said = ["".join(cell["source"]) for cell in held["cells"]]
    said += [text for cell in cells(path, "code") for text in texts(cell)]
    assert not [found for text in said for found in ABSOLUTE.findall(text)]
    assert not [found for text in said for found in MOMENT.findall(text)]


@each_tale
def test_a_notebook_begins_with_prose_and_makes_its_mistake_on_purpose(path):
    first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]
    assert first["cell_type"] == "markdown"
    assert "".join(first["source"]).startswith("# ")
    assert TRAP in "".join("".join(cell["source"]) for cell in cells(path, "markdown")).lower()


@every
def test_links_between_notebooks_and_into_the_repository_resolve(path):
    prose = "".join("".join(cell["source"]) for cell in cells(path, "markdown"))
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", prose) if "://" not in link]
    assert not [link for link in links if not (path.parent / link).exists()]
