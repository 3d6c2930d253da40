"""Reads the recipes of CONTRIBUTING.md and applies them to a copy of the checkout, as a reader would."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
PARTS = ("sinet_pipelines", "assets", "resources", "schedules", "tests", "docs", "README.md", "CONTRIBUTING.md")
FILES = ("dagster.yaml", "workspace.yaml", "pyproject.toml", "constraints.txt", "Makefile", "CHANGELOG.md")
BLOCK = re.compile(r"^```(\w+)\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One change: a whole new file, or lines to take out, to add and to find the place by."""

    kind: str
    file: str
    text: str

    def apply(self, checkout: Path) -> None:
        path = checkout / self.file
        if self.kind != "diff":
            assert not path.exists(), f"{self.file} is there already"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.text)
            return
        lines = self.text.splitlines()
        assert all(line[:1] in ("+", "-", " ", "") for line in lines), f"a line for {self.file} has no sign"
        before = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "+")
        after = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "-")
        found = path.read_text()
        assert found.count(before) == 1, f"the place in {self.file} is there {found.count(before)} times:\n{before}"
        path.write_text(found.replace(before, after))


def recipes() -> dict[str, list[Block]]:
    """The blocks of each recipe, by its heading."""
    sections = re.split(r"^## ", (CHECKOUT / "CONTRIBUTING.md").read_text(), flags=re.MULTILINE)[1:]
    read = {section.partition("\n")[0]: [Block(*found) for found in BLOCK.findall(section)] for section in sections}
    return {heading: blocks for heading, blocks in read.items() if blocks}


def copy_checkout(folder: Path) -> Path:
    """What of this checkout is executed and tested, as files of their own."""
    folder.mkdir()
    for part in (*PARTS, *FILES):
        source = CHECKOUT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, folder / part)
    return folder


def environment_of(checkout: Path, **more: str) -> dict[str, str]:
    """The environment of a process that belongs to a copy: its packages come before those of this checkout."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SINET_", "DAGSTER_"))}
    return {**inherited, "PYTHONPATH": str(checkout), "SINET_PROJECT": str(checkout), **more}
