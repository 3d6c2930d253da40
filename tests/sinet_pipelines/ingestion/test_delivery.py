"""Which application lands a folder: the one that is named by its format, or those that recognise it."""

import pytest

from sinet_pipelines.errors import SourceError
from sinet_pipelines.ingestion.delivery import Source, recognising


def source(form, file):
    """A source whose folders have one file of a name."""

    def never(*_):
        raise AssertionError("nothing is landed to learn a format")

    return Source(
        {form: f"a folder with {file}"}, lambda folder: form if (folder / file).exists() else None, never, never
    )


SOURCES = {"mill": source("ai4i", "mill.csv"), "pump": source("skab", "pump.csv")}


def test_a_folder_is_landed_by_every_application_that_recognises_it(tmp_path):
    (tmp_path / "pump.csv").write_text("")
    assert recognising(SOURCES, tmp_path) == {"pump": "skab"}
    (tmp_path / "mill.csv").write_text("")
    assert recognising(SOURCES, tmp_path) == {"mill": "ai4i", "pump": "skab"}


def test_a_format_that_is_named_decides_whatever_is_in_the_folder(tmp_path):
    assert recognising(SOURCES, tmp_path, form="ai4i") == {"mill": "ai4i"}
    with pytest.raises(SourceError, match=r"no format 'csv' \(allowed: ai4i, skab\); give one of them with --format"):
        recognising(SOURCES, tmp_path, form="csv")


def test_a_folder_that_nobody_recognises_is_refused_with_what_each_format_has(tmp_path):
    words = r"recognises .* \(formats: ai4i: a folder with mill.csv; skab: a folder with pump.csv\)"
    with pytest.raises(SourceError, match=words):
        recognising(SOURCES, tmp_path)
