"""Pages, citation and API of the repository: what they point at is there."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from omegaconf import OmegaConf

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/**/*.md")
    for page in ROOT.glob(pattern)
)


def anchors(page):
    """The anchors that a page's headings get on GitHub."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    titles = re.findall(r"^#+ +(.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_inside_the_repository_resolves_to_its_heading(page):
    path = ROOT / page
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    wrong = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link or link.startswith("mailto:"):
            continue
        file, _, heading = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (heading and heading not in anchors(target)):
            wrong.append(link)
    assert wrong == []


def test_the_pages_that_are_promised_are_looked_at():
    assert {"README.md", "DATA.md", "CONTRIBUTING.md", "docs/design.md"} <= set(PAGES)


def test_the_citation_is_of_this_package():
    cited = OmegaConf.to_container(OmegaConf.load(ROOT / "CITATION.cff"))
    assert isinstance(cited, dict)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(cited)
    assert all({"name"} <= set(one) for one in cited["authors"])
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
    assert cited["authors"][0]["name"] in (ROOT / "LICENSE").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_api_has_a_page_for_every_module_and_fetches_nothing(tmp_path):
    told = subprocess.run(["make", "-n", "docs"], cwd=ROOT, capture_output=True, text=True)
    words = re.search(r"bin/(pdoc .*)", told.stdout)
    assert words is not None, told.stderr
    command = words[1].replace("build/api", str(tmp_path / "api")).split()
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    modules = [
        path.relative_to(ROOT).with_suffix("").as_posix().removesuffix("/__init__")
        for top in ("slime", "baselines", "foundations")
        for path in (ROOT / top).rglob("*.py")
        if path.name != "__main__.py"
    ]
    missing = [name for name in modules if not (tmp_path / "api" / f"{name}.html").exists()]
    assert missing == []
    page = (tmp_path / "api" / "slime" / "movie.html").read_text(encoding="utf-8")
    assert "open_movie" in page
    assert re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="(?:https?:)?//', page) == []
