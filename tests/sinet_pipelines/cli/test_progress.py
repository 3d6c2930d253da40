"""Progress: what a run's events say of its assets, and a terminal that stays clean of what libraries print."""

import os

from sinet_pipelines.cli.progress import AssetProgress, RunProgress, quiet


def progress(*names):
    return RunProgress({name: AssetProgress(name) for name in names}, {name.replace("/", "__"): name for name in names})


def test_a_step_is_running_then_done_with_its_days_and_seconds():
    seen = progress("EAST/raw")
    seen.take("STEP_START", "EAST__raw", 10.0, None)
    assert seen.assets["EAST/raw"].state == "running"
    for _ in range(3):
        seen.take("ASSET_MATERIALIZATION", "EAST__raw", 11.0, "EAST/raw")
    seen.take("STEP_SUCCESS", "EAST__raw", 12.5, None)
    assert seen.lines == ["done     EAST/raw (3 days, 2.5 s)"]


def test_a_step_that_is_tried_again_has_the_seconds_of_its_last_attempt():
    seen = progress("model")
    seen.take("STEP_RESTARTED", "model", 40.0, None)
    assert seen.assets["model"].state == "running"
    seen.take("STEP_SUCCESS", "model", 42.5, None)
    assert seen.lines == ["done     model (2.5 s)"]


def test_a_failed_check_is_told_on_the_assets_line():
    seen = progress("EAST/validated")
    seen.take("STEP_START", "EAST__validated", 0.0, None)
    seen.take("ASSET_CHECK_EVALUATION", "EAST__validated", 0.5, "EAST/validated", passed=False)
    seen.take("STEP_SUCCESS", "EAST__validated", 1.0, None)
    assert "1 failed check)" in seen.lines[0]


def test_a_step_that_never_started_is_skipped_in_no_time():
    seen = progress("model")
    seen.take("STEP_SKIPPED", "model", 99.0, None)
    assert seen.assets["model"].seconds == 0.0
    assert seen.lines == ["skipped  model (0.0 s)"]


def test_events_of_assets_that_were_not_planned_are_passed_over():
    seen = progress("model")
    seen.take("ASSET_MATERIALIZATION", "other", 1.0, "EAST/quarantine")
    assert seen.assets["model"].days == 0


def test_what_libraries_print_goes_to_the_log_and_comes_back_afterwards(tmp_path, capfd):
    log = tmp_path / "run.log"
    with quiet(log) as console:
        os.write(1, b"chatter of a library\n")
        os.write(2, b"and its warnings\n")
        console.print("home /somewhere")
    os.write(1, b"afterwards\n")
    out, err = capfd.readouterr()
    assert log.read_text() == "chatter of a library\nand its warnings\n"
    assert out == "afterwards\n"
    assert err.strip() == "home /somewhere"
