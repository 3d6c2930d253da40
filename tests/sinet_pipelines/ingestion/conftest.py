"""Rows as a drop of turbofan has them: ingestion is tested on the drops of one application."""

from tests.sinet_pipelines.applications.turbofan.conftest import DAY, cmapss_folder, cmapss_lines, make_rows

__all__ = ["DAY", "cmapss_folder", "cmapss_lines", "make_rows"]
