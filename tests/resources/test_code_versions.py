"""Derived code versions: an edit of what decides an asset's content changes its version, and no other edit does."""

import shutil
import sys
from dataclasses import replace

import pyarrow as pa
import pytest

from assets.framework.ingestion import raw_rows
from assets.framework.monitoring import input_drift_of
from resources.code_versions import BEHIND, EXCLUDED, PACKAGES, CodeVersions, canonical
from sinet_pipelines.applications.turbofan.application import TURBOFAN
from sinet_pipelines.applications.turbofan.landed import FAILURES, TELEMETRY
from sinet_pipelines.applications.turbofan.schemas.features import WINDOW_FEATURES
from sinet_pipelines.applications.turbofan.schemas.telemetry import DROP, RAW_TELEMETRY, VALIDATED_TELEMETRY
from sinet_pipelines.applications.turbofan.watched import WATCHED
from sinet_pipelines.code_hash import SourceTree
from sinet_pipelines.monitoring.input_drift import one_stratum
from sinet_pipelines.schemas.contract import Column, DataClass
from tests.conftest import CHECKOUT
from tests.deployed import deployment_at
from tests.inventory import EAST

LEARNT = ("gradient_boosting", "temporal_convolution", "average", "spiking_challenger")
ROWS = ("raw_telemetry", "validated_telemetry")


@pytest.fixture(scope="session")
def sources(tmp_path_factory):
    """A copy of the sources."""
    root = tmp_path_factory.mktemp("sources")
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / package, root / package, ignore=ignored)
    return root


@pytest.fixture(scope="session")
def versions(definitions, sources):
    """The code version of every asset by its last word, as the copied sources make it."""
    functions = {}
    graph = definitions.resolve_asset_graph()
    for key in graph.toposorted_asset_keys:
        if graph.get(key).is_materializable:
            functions[key.path[-1]] = graph.get(key).assets_def.op.compute_fn.decorated_fn
    cache = {}

    def found():
        packages = {name: sources / name for name in PACKAGES}
        tree = SourceTree(packages, EXCLUDED, canonical, attributes=BEHIND, cache=cache)
        return {name: tree.hash_of(function) for name, function in functions.items()}

    return found


@pytest.fixture
def changed(sources, versions):
    """Edits a source file, says which assets got another version, and takes the edit back."""
    edited = []

    def change(file, old, new):
        path, before = sources / file, versions()
        text = path.read_text()
        assert text.count(old) >= 1, f"{file} has no {old!r}"
        edited.append((path, text))
        path.write_text(text.replace(old, new, 1))
        after = versions()
        return {name for name, version in after.items() if before[name] != version}

    yield change
    for path, text in reversed(edited):
        path.write_text(text)


def test_every_asset_has_its_own_version(definitions):
    graph = definitions.resolve_asset_graph()
    executable = [graph.get(key) for key in graph.toposorted_asset_keys if graph.get(key).is_materializable]
    found = {node.key: node.code_version for node in executable}
    assert all(len(version) == 16 for version in found.values())
    assert len(set(found.values())) == len({tuple(key.path[-2:]) for key in found})  # one for all regions


@pytest.mark.parametrize(
    ("file", "old", "new", "some", "none"),
    [
        (
            "sinet_pipelines/applications/turbofan/schemas/telemetry.py",
            'Column("t2_degr"',
            'Column("t2_renamed_degr"',
            {"window_features"},  # it names channels; the others are made of contracts, which count as they are loaded
            set(),
        ),
        (
            "sinet_pipelines/applications/turbofan/features/windows.py",
            "CHUNK_ROWS = ",
            "CHUNK_ROWS = 1 + ",
            {"window_features"},
            {*ROWS, *LEARNT},
        ),
        (
            "sinet_pipelines/models/descent.py",
            "AVERAGE_DECAY = ",
            "AVERAGE_DECAY = 1 + ",
            {"temporal_convolution"},
            {*ROWS},
        ),
        (
            "sinet_pipelines/applications/turbofan/schemas/features.py",
            "MAX_RUL_CYCLES = ",
            "MAX_RUL_CYCLES = 1 + ",
            {*LEARNT},
            {*ROWS},
        ),
        (
            "assets/turbofan/training.py",
            "RUN_EPOCHS = 10",
            "RUN_EPOCHS = 11",
            {"temporal_convolution"},
            {"gradient_boosting"},
        ),
        (
            "sinet_pipelines/ingestion/drops.py",
            "DROP_ID_DIGITS = ",
            "DROP_ID_DIGITS = 1 + ",
            {"raw_telemetry"},
            {"window_features", *LEARNT},
        ),
    ],
    ids=["renamed column", "feature code", "lazily imported code", "constant", "asset's own constant", "casting"],
)
def test_an_edit_changes_the_assets_that_it_decides(changed, file, old, new, some, none):
    found = changed(file, old, new)
    assert some <= found
    assert not none & found


@pytest.mark.parametrize("change", [{"features": ("t2_z_last",)}, {"strata": 4}, {"stratum_of": one_stratum}])
def test_another_feature_or_stratum_to_watch_changes_the_drift(tmp_path, change):
    deployment, code = deployment_at(tmp_path), CodeVersions(tmp_path)

    def version(watched):
        return code.version_of(
            input_drift_of(deployment, TURBOFAN, EAST, watched, features=WINDOW_FEATURES, noun="sensor")
        )

    assert version(WATCHED) == version(replace(WATCHED))
    assert version(WATCHED) != version(replace(WATCHED, **change))


@pytest.mark.parametrize("is_writable", [True, False])
def test_the_analysis_is_kept_beside_the_bytecode_or_in_the_home(tmp_path, monkeypatch, is_writable):
    home, bytecode = tmp_path / "home", tmp_path / "bytecode"
    home.mkdir()
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", str(bytecode))
    if not is_writable:
        bytecode.write_text("a file in its place")
    asset = raw_rows(deployment_at(home), TURBOFAN, EAST, DROP, RAW_TELEMETRY)
    first, second = CodeVersions(home), CodeVersions(home)
    assert second.version_of(asset) == first.version_of(asset)
    first.keep()
    kept = [str(path.relative_to(tmp_path).parts[0]) for path in tmp_path.rglob("code_versions.json")]
    assert kept == ["bytecode" if is_writable else "home"]
    third = CodeVersions(home)
    assert third.version_of(asset) == first.version_of(asset)
    for path in tmp_path.rglob("code_versions.json"):
        path.unlink()
    third.keep()  # it had nothing to analyse
    assert not list(tmp_path.rglob("code_versions.json"))


def test_a_contract_with_a_renamed_column_changes_the_rows_that_are_made_of_it(tmp_path):
    def version(raw):
        return CodeVersions(tmp_path).version_of(raw_rows(deployment_at(tmp_path), TURBOFAN, EAST, DROP, raw))

    columns = [replace(one, name="t2_renamed_degr") if one.name == "t2_degr" else one for one in RAW_TELEMETRY.columns]
    assert version(RAW_TELEMETRY) == version(replace(RAW_TELEMETRY, description="other words"))
    assert version(RAW_TELEMETRY) != version(replace(RAW_TELEMETRY, columns=tuple(columns)))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("sinet_pipelines/cli/main.py", "def main() -> None:", "def main(unused: int = 1) -> None:"),
        ("sinet_pipelines/storage/table_writes.py", "ATTEMPTS = 8", "ATTEMPTS = 9"),
        ("sinet_pipelines/applications/turbofan/features/windows.py", '"""', '"""Other words. '),
        ("sinet_pipelines/applications/turbofan/features/windows.py", "CHUNK_ROWS = ", "# a comment\nCHUNK_ROWS = "),
        ("assets/turbofan/features.py", "kinds={", "kinds={*(), "),
        ("assets/turbofan/training.py", "memory_mib=8192", "memory_mib=4096"),
        ("sinet_pipelines/validation/data_docs.py", "max-width: 75em", "max-width: 80em"),
        ("sinet_pipelines/validation/sample.py", "ROWS_OF_A_DAY = ", "ROWS_OF_A_DAY = 1 + "),
        ("sinet_pipelines/validation/expectations.py", "_SHOWN = 20", "_SHOWN = 30"),
        ("assets/framework/data_docs.py", "sample of", "a sample of"),
    ],
    ids=["command", "storage", "docstring", "comment", "kinds", "needs", "page", "sample", "expectations", "heading"],
)
def test_an_edit_that_decides_no_content_changes_nothing(changed, file, old, new):
    assert changed(file, old, new) == set()


def test_a_contract_counts_by_columns_types_units_bounds_and_keys_and_not_by_descriptions():
    contract = VALIDATED_TELEMETRY
    number = next(n for n, column in enumerate(contract.columns) if column.maximum is not None)
    column = contract.columns[number]

    def with_column(other):
        return replace(contract, columns=(*contract.columns[:number], other, *contract.columns[number + 1 :]))

    before = canonical(contract)
    assert canonical(with_column(replace(column, description="other words"))) == before
    assert canonical(replace(contract, description="other words")) == before
    for other in (
        with_column(replace(column, maximum=column.maximum + 1)),
        with_column(replace(column, unit="another")),
        with_column(replace(column, max_characters=7)),
        with_column(replace(column, name="another")),
        with_column(replace(column, dtype=pa.int8())),
        with_column(replace(column, nullable=not column.nullable)),
        with_column(Column("more", pa.int8(), "one more")),
        replace(contract, columns=contract.columns[1:]),
        replace(contract, key=contract.key[:1]),
        replace(contract, max_quarantined_share=0.5),
    ):
        assert canonical(other) != before


def test_only_contracts_columns_and_members_of_enumerations_are_canonical():
    assert canonical(DataClass.RAW) == '"DataClass.RAW"'
    assert canonical(replace(FAILURES, known_since="event_date")) != canonical(FAILURES) is not None
    assert canonical(replace(TELEMETRY, events=(FAILURES,))) != canonical(TELEMETRY) is not None
    assert canonical((VALIDATED_TELEMETRY.columns[0],)) is not None
    for other in (None, 1, "a text", (), [], object(), (1, 2)):
        assert canonical(other) is None


def test_modules_that_decide_what_a_factory_learns_and_serves_count():
    counted = ("sinet_pipelines.applications.columns", "assets.framework.modelling", "assets.framework.tables")
    for module in counted:
        assert not any(module == one or module.startswith(f"{one}.") for one in EXCLUDED), module
