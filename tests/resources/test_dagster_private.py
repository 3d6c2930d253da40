"""Private names of Dagster: in one module, each there in the pinned version and called as it can be called."""

import ast
import inspect

import pytest

from resources import dagster_private
from resources.dagster_private import NAMES
from tests.conftest import CHECKOUT

#: Loaded by Dagster's own processes, which need only the installed library; each extends or guards Dagster itself.
LOADED_BY_DAGSTER = {
    "sinet_pipelines/cli/event_store.py",
    "sinet_pipelines/cli/run_store.py",
    "sinet_pipelines/cli/dagster_pages.py",
}
#: Arguments by name, or in this order, with which the product calls them.
CALLS = {
    "StepOutputData": ("step_output_handle", "type_check_data"),
    "StepOutputHandle": ("step_key", "output_name"),
    "TypeCheckData": ("success", "label"),
    "EngineEventData": ("metadata",),
    "StepFailureData": ("error", "user_failure_data"),
    "StepRetryData": ("error", "seconds_to_wait"),
    "UserFailureData": ("label", "description", "metadata"),
    "StepHandlerContext": ("instance", "plan_context", "steps", "execute_step_args", "dagster_run"),
    "PlanData": ("job", "dagster_run", "instance", "execution_plan", "raise_on_error", "retry_mode"),
    "PlanOrchestrationContext": ("plan_data", "log_manager", "executor", "output_capture"),
    "InProcessExecutor": ("retries",),
    "create_execution_plan": ("job",),
    "execute_run": ("job", "dagster_run", "instance"),
    "location_origins_from_yaml_paths": ("yaml_paths",),
    "get_instance_for_cli": ("instance_ref",),
    "_execute_step_command_body": ("args", "instance", "dagster_run"),
    "recon_repository_from_origin": ("origin",),
    "get_input_data_version_tag": ("input_key",),
    "get_input_event_pointer_tag": ("input_key",),
    "get_retries_config": (),
    "SensorExecutionData": ("run_requests", "skip_message", "cursor", "dagster_run_reactions"),
    "serialize_value": ("val",),
    "deserialize_value": ("val",),
}
#: Methods that the product calls on them.
METHODS = {
    "DagsterEvent": {
        "step_output_event": ("step_context", "step_output_data"),
        "engine_event": ("plan_context", "message", "event_specific_data"),
        "step_failure_event": ("step_context", "step_failure_data"),
        "step_retry_event": ("step_context", "step_retry_data"),
        "step_worker_starting": ("step_context", "message", "metadata"),
    },
    "RetryMode": {"from_config": ("config_value",)},
    "CheckStepHealthResult": {"healthy": (), "unhealthy": ("reason",)},
    "EventLogCursor": {"from_storage_id": ("storage_id",), "to_string": ()},
    "DagsterLogManager": {"create": ("loggers", "dagster_run", "instance")},
    "ReconstructableRepository": {"for_file": ("file", "fn_name", "working_directory")},
    "RemoteRepositoryOrigin": {"get_job_origin": ("job_name",)},
    "InstanceRef": {"from_dir": ("base_dir",)},
}


def private_imports(path):
    """Modules of Dagster with a private part in their name that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [one.name for one in node.names] if isinstance(node, ast.Import) else []
        yield from (name for name in names if name.startswith("dagster._"))


def product_files():
    folders = ("assets", "resources", "schedules", "sinet_pipelines")
    return sorted(path for folder in folders for path in (CHECKOUT / folder).rglob("*.py"))


def test_one_module_alone_imports_private_names():
    found = {path.relative_to(CHECKOUT).as_posix() for path in product_files() if any(private_imports(path))}
    assert found == LOADED_BY_DAGSTER | {"resources/dagster_private.py"}


def test_what_is_listed_is_what_a_type_checker_reads_and_is_used():
    text = (CHECKOUT / "resources" / "dagster_private.py").read_text()
    typed = {
        one.name: node.module
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and node.module.startswith("dagster.")
        for one in node.names
    }
    assert typed == {name: module for name, (module, _) in NAMES.items()}
    used = {
        one.name
        for path in product_files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "resources.dagster_private"
        for one in node.names
    }
    assert used == set(NAMES)
    assert [name for name, (_, reason) in NAMES.items() if len(reason) < 10] == []


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_pinned_version_has_the_name(name):
    assert getattr(dagster_private, name) is not None


def test_a_name_that_is_not_listed_is_refused():
    with pytest.raises(AttributeError, match="list it with its reason"):
        _ = dagster_private.DagsterInstance


def arguments_of(called):
    return [name for name in inspect.signature(called).parameters if name not in ("self", "cls", "_cls")]


@pytest.mark.parametrize("name", sorted(CALLS))
def test_the_pinned_version_takes_the_arguments(name):
    assert set(CALLS[name]) <= set(arguments_of(getattr(dagster_private, name)))


@pytest.mark.parametrize(("name", "method"), [(name, method) for name, found in METHODS.items() for method in found])
def test_the_pinned_version_has_the_method_with_these_arguments(name, method):
    assert set(METHODS[name][method]) <= set(arguments_of(getattr(getattr(dagster_private, name), method)))
