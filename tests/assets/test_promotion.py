"""Whether the chosen graph gets the alias: a person who took it away is heard, a lost registry serves again."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sinet_pipelines.registry.promotion import may_be_promoted
from sinet_pipelines.registry.version import Version

ONE = Version(
    name="rul",
    version=1,
    aliases=(),
    sha256="one",
    family="trees",
    run_id="run",
    tags={},
    created_at=datetime(2026, 3, 1, tzinfo=UTC),
)
TWO = replace(ONE, version=2, sha256="two")


@pytest.mark.parametrize(
    ("champion", "last_promoted", "has_passed", "expected"),
    [
        (None, None, False, True),  # the first model, or a registry that was lost
        (None, ONE, True, False),  # a person took the alias away from this very graph
        (None, ONE, False, False),
        (None, TWO, True, True),  # a training won since
        (None, TWO, False, False),
        (TWO, TWO, True, True),
        (TWO, ONE, False, False),
    ],
)
def test_the_graph_one_is_promoted(champion, last_promoted, has_passed, expected):
    found = may_be_promoted("one", champion=champion, last_promoted=last_promoted, has_passed=has_passed)
    assert found is expected
