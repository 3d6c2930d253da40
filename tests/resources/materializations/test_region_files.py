"""The listing of a home's files imports little, since `sinet status` needs it even where nothing changed."""

import subprocess
import sys

CODE = "import sys, resources.materializations.region_files, sinet_pipelines.cli.snapshot; print({*sys.modules})"


def test_it_imports_neither_dagster_nor_polars():
    printed = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout
    assert "'resources.materializations.region_files'" in printed
    assert not [name for name in ("dagster", "polars", "mlflow") if f"'{name}'" in printed]
