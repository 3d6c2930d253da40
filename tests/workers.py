"""How tests are shared out between the workers of a session: what is built once a session stays in one worker.

Tests of a folder with a `conftest.py` of its own share session fixtures, such as a home in which everything was made:
one worker runs all of them. Any other file goes to whichever worker is free. What takes longest begins first, so that
no worker ends long before the other.

pytest-xdist 3.8 groups by a suffix of test ids that pytest 9 no longer takes over, so its `--dist loadgroup` runs every
test by itself; the hook `pytest_xdist_make_scheduler` is its public way to another grouping.
"""

from pathlib import Path, PurePosixPath

import pytest
from xdist.scheduler import LoadScopeScheduling

CHECKOUT = Path(__file__).parents[1]

#: Groups that take minutes, the longest first.
LONG = (
    "tests/walk",
    "tests/clusters",
    "tests/schedules",
    "tests/assets",
    "tests/test_recipes.py",
    "tests/test_application_recipe.py",
    "tests/test_image.py",
    "tests/test_packaging.py",
)


def group_of(nodeid: str, checkout: Path = CHECKOUT) -> str:
    """Returns the folder that a test shares fixtures with, or its file where there is none.

    Args:
        nodeid: of the test, such as `tests/assets/test_cards.py::test_one[a/b::c]`.
        checkout: the folder that paths of ids are relative to.
    """
    file = PurePosixPath(nodeid.partition("::")[0])
    for folder in list(file.parents)[:-2]:  # neither the checkout nor `tests`
        if (checkout / folder / "conftest.py").exists():
            return folder.as_posix()
    return file.as_posix()


def begins(nodeid: str) -> int:
    """Returns the place of a test's group among those that take minutes; after all of them for any other."""
    group = group_of(nodeid)
    return LONG.index(group) if group in LONG else len(LONG)


class SharedFixtures(LoadScopeScheduling):
    """Runs the tests of a group one after the other in one worker, groups in the order of their first tests."""

    def __init__(self, config: pytest.Config, log: object) -> None:
        config.option.loadscopereorder = False  # by their number of tests: many of them take a second together
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> SharedFixtures:
    """Returns the scheduler of a session with workers; a hook of pytest-xdist."""
    return SharedFixtures(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Brings groups that take minutes to the front where several workers run the tests; a hook of pytest."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: begins(item.nodeid))
