"""Every private name of Dagster that the product uses, each with its reason; imported nowhere else.

A name is imported when it is first used: some of their modules cost a tenth of a second and more. The storages of
`dagster.yaml` and the pages' guard (`sinet_pipelines/cli/`) import what they extend themselves: Dagster's own processes
load them, where only the library need be installed.

Dagster is pinned; `tests/resources/test_dagster_private.py` compares each name with the pinned version.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster._cli.api import _execute_step_command_body as _execute_step_command_body
    from dagster._cli.api import execute_step_command as execute_step_command
    from dagster._cli.utils import get_instance_for_cli as get_instance_for_cli
    from dagster._core.definitions.assets.definition.asset_spec import AssetExecutionType as AssetExecutionType
    from dagster._core.definitions.assets.graph.asset_graph import AssetGraph as AssetGraph
    from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph as BaseAssetGraph
    from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetNode as BaseAssetNode
    from dagster._core.definitions.data_version import NULL_EVENT_POINTER as NULL_EVENT_POINTER
    from dagster._core.definitions.data_version import get_input_data_version_tag as get_input_data_version_tag
    from dagster._core.definitions.data_version import get_input_event_pointer_tag as get_input_event_pointer_tag
    from dagster._core.definitions.decorators.decorator_assets_definition_builder import (
        DecoratorAssetsDefinitionBuilder as DecoratorAssetsDefinitionBuilder,
    )
    from dagster._core.definitions.decorators.decorator_assets_definition_builder import (
        DecoratorAssetsDefinitionBuilderArgs as DecoratorAssetsDefinitionBuilderArgs,
    )
    from dagster._core.definitions.executor_definition import (
        multiple_process_executor_requirements as multiple_process_executor_requirements,
    )
    from dagster._core.definitions.reconstruct import ReconstructableRepository as ReconstructableRepository
    from dagster._core.definitions.sensor_definition import SensorExecutionData as SensorExecutionData
    from dagster._core.errors import DagsterExecutionInterruptedError as DagsterExecutionInterruptedError
    from dagster._core.event_api import EventLogCursor as EventLogCursor
    from dagster._core.events import ASSET_EVENTS as ASSET_EVENTS
    from dagster._core.events import DagsterEvent as DagsterEvent
    from dagster._core.events import DagsterEventType as DagsterEventType
    from dagster._core.events import EngineEventData as EngineEventData
    from dagster._core.execution.api import create_execution_plan as create_execution_plan
    from dagster._core.execution.api import execute_run as execute_run
    from dagster._core.execution.context.system import IStepContext as IStepContext
    from dagster._core.execution.context.system import PlanData as PlanData
    from dagster._core.execution.context.system import PlanOrchestrationContext as PlanOrchestrationContext
    from dagster._core.execution.plan.objects import StepFailureData as StepFailureData
    from dagster._core.execution.plan.objects import StepRetryData as StepRetryData
    from dagster._core.execution.plan.objects import TypeCheckData as TypeCheckData
    from dagster._core.execution.plan.objects import UserFailureData as UserFailureData
    from dagster._core.execution.plan.outputs import StepOutputData as StepOutputData
    from dagster._core.execution.plan.outputs import StepOutputHandle as StepOutputHandle
    from dagster._core.execution.plan.plan import ExecutionPlan as ExecutionPlan
    from dagster._core.execution.plan.state import KnownExecutionState as KnownExecutionState
    from dagster._core.execution.plan.step import ExecutionStep as ExecutionStep
    from dagster._core.execution.retries import RetryMode as RetryMode
    from dagster._core.execution.retries import get_retries_config as get_retries_config
    from dagster._core.executor.in_process import InProcessExecutor as InProcessExecutor
    from dagster._core.executor.init import InitExecutorContext as InitExecutorContext
    from dagster._core.executor.step_delegating import CheckStepHealthResult as CheckStepHealthResult
    from dagster._core.executor.step_delegating import StepDelegatingExecutor as StepDelegatingExecutor
    from dagster._core.executor.step_delegating import StepHandler as StepHandler
    from dagster._core.executor.step_delegating import StepHandlerContext as StepHandlerContext
    from dagster._core.instance.ref import InstanceRef as InstanceRef
    from dagster._core.log_manager import DagsterLogManager as DagsterLogManager
    from dagster._core.remote_origin import RemoteRepositoryOrigin as RemoteRepositoryOrigin
    from dagster._core.scheduler.instigation import TickStatus as TickStatus
    from dagster._core.storage.asset_check_execution_record import (
        AssetCheckExecutionRecordStatus as AssetCheckExecutionRecordStatus,
    )
    from dagster._core.storage.event_log.base import AssetEntry as AssetEntry
    from dagster._core.storage.event_log.base import EventLogStorage as EventLogStorage
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage as SqlEventLogStorage
    from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG as ASSET_PARTITION_RANGE_END_TAG
    from dagster._core.storage.tags import ASSET_PARTITION_RANGE_START_TAG as ASSET_PARTITION_RANGE_START_TAG
    from dagster._core.storage.tags import GRPC_INFO_TAG as GRPC_INFO_TAG
    from dagster._core.storage.tags import SENSOR_NAME_TAG as SENSOR_NAME_TAG
    from dagster._core.workspace.load import location_origins_from_yaml_paths as location_origins_from_yaml_paths
    from dagster._grpc.types import ExecuteStepArgs as ExecuteStepArgs
    from dagster._serdes import ConfigurableClassData as ConfigurableClassData
    from dagster._serdes import deserialize_value as deserialize_value
    from dagster._serdes import serialize_value as serialize_value
    from dagster._utils.error import SerializableErrorInfo as SerializableErrorInfo
    from dagster._utils.hosted_user_process import recon_repository_from_origin as recon_repository_from_origin
    from dagster._utils.interrupts import capture_interrupts as capture_interrupts

#: Each name: the module that has it, and why it is used.
NAMES: dict[str, tuple[str, str]] = {
    "_execute_step_command_body": ("dagster._cli.api", "a worker runs several steps in one process of a pod"),
    "execute_step_command": ("dagster._cli.api", "the command line of a step's pod"),
    "get_instance_for_cli": ("dagster._cli.utils", "the instance of a step's pod"),
    "AssetGraph": ("dagster._core.definitions.assets.graph.asset_graph", "the type of the graph of loaded definitions"),
    "BaseAssetGraph": (
        "dagster._core.definitions.assets.graph.base_asset_graph",
        "the type of `Definitions.resolve_asset_graph()`",
    ),
    "BaseAssetNode": (
        "dagster._core.definitions.assets.graph.base_asset_graph",
        "the type of what `BaseAssetGraph.get` returns",
    ),
    "AssetExecutionType": (
        "dagster._core.definitions.assets.definition.asset_spec",
        "a landing zone is observed, and not made",
    ),
    "DecoratorAssetsDefinitionBuilder": (
        "dagster._core.definitions.decorators.decorator_assets_definition_builder",
        "makes an observed asset whose step has tags and a pool, which the public decorators do not take",
    ),
    "DecoratorAssetsDefinitionBuilderArgs": (
        "dagster._core.definitions.decorators.decorator_assets_definition_builder",
        "what an observed asset is made of",
    ),
    "NULL_EVENT_POINTER": ("dagster._core.definitions.data_version", "the tag of an input that was never made"),
    "get_input_data_version_tag": (
        "dagster._core.definitions.data_version",
        "the tag by which Dagster keeps an input's version",
    ),
    "get_input_event_pointer_tag": (
        "dagster._core.definitions.data_version",
        "the tag by which Dagster keeps an input's event",
    ),
    "multiple_process_executor_requirements": (
        "dagster._core.definitions.executor_definition",
        "declares that the router's steps need a shared instance",
    ),
    "ReconstructableRepository": ("dagster._core.definitions.reconstruct", "the origin of a run of `sinet run`"),
    "DagsterExecutionInterruptedError": ("dagster._core.errors", "raised in a step when its run is ended"),
    "EventLogCursor": ("dagster._core.event_api", "reads the event log of a run from a place on"),
    "ASSET_EVENTS": ("dagster._core.events", "the events that SQLite stores twice, for the size of the event log"),
    "DagsterEvent": (
        "dagster._core.events",
        "a step over a range of days hands on by its output event; the router writes steps' events",
    ),
    "DagsterEventType": ("dagster._core.events", "the event log is read by types of events"),
    "EngineEventData": ("dagster._core.events", "the router's notes in the event log"),
    "create_execution_plan": ("dagster._core.execution.api", "`sinet render` lists the steps of the definitions"),
    "execute_run": ("dagster._core.execution.api", "`sinet run` executes a run that the pages can execute again"),
    "IStepContext": ("dagster._core.execution.context.system", "the type of a step in the router"),
    "PlanData": (
        "dagster._core.execution.context.system",
        "`sinet render` makes the context of a run that is not started",
    ),
    "PlanOrchestrationContext": (
        "dagster._core.execution.context.system",
        "the type of a run in the router; `sinet render` makes one",
    ),
    "StepFailureData": ("dagster._core.execution.plan.objects", "the router ends a step whose pod ended"),
    "StepRetryData": ("dagster._core.execution.plan.objects", "the router requests another attempt"),
    "TypeCheckData": ("dagster._core.execution.plan.objects", "part of the output event of a step over a range"),
    "UserFailureData": ("dagster._core.execution.plan.objects", "the reason of an ended pod on the page of the run"),
    "StepOutputData": ("dagster._core.execution.plan.outputs", "part of the output event of a step over a range"),
    "StepOutputHandle": ("dagster._core.execution.plan.outputs", "part of the output event of a step over a range"),
    "ExecutionPlan": ("dagster._core.execution.plan.plan", "the type of a run's plan in the router"),
    "KnownExecutionState": ("dagster._core.execution.plan.state", "what a step's pod needs of the steps before it"),
    "ExecutionStep": ("dagster._core.execution.plan.step", "the type of a step of a plan"),
    "RetryMode": ("dagster._core.execution.retries", "the router counts retries as Dagster does"),
    "get_retries_config": ("dagster._core.execution.retries", "the config schema of retries"),
    "InProcessExecutor": ("dagster._core.executor.in_process", "part of the context that `sinet render` makes"),
    "InitExecutorContext": ("dagster._core.executor.init", "the type of what makes an executor"),
    "CheckStepHealthResult": (
        "dagster._core.executor.step_delegating",
        "what a step handler returns of a step's health",
    ),
    "StepDelegatingExecutor": ("dagster._core.executor.step_delegating", "the router extends it"),
    "StepHandler": ("dagster._core.executor.step_delegating", "the protocol of the router's handlers"),
    "StepHandlerContext": ("dagster._core.executor.step_delegating", "what a handler receives"),
    "InstanceRef": ("dagster._core.instance.ref", "the instance of a step's pod, from its arguments"),
    "DagsterLogManager": ("dagster._core.log_manager", "part of the context that `sinet render` makes"),
    "RemoteRepositoryOrigin": ("dagster._core.remote_origin", "the origin of a run of `sinet run`, for the pages"),
    "SensorExecutionData": ("dagster._core.definitions.sensor_definition", "what an evaluation of a sensor returns"),
    "TickStatus": ("dagster._core.scheduler.instigation", "the newest tick of a sensor"),
    "AssetCheckExecutionRecordStatus": (
        "dagster._core.storage.asset_check_execution_record",
        "separates planned results of a check from real ones",
    ),
    "AssetEntry": ("dagster._core.storage.event_log.base", "the type of the newest records of an asset"),
    "SqlEventLogStorage": (
        "dagster._core.storage.event_log.sql_event_log",
        "days of many assets are read from its tables in one query",
    ),
    "EventLogStorage": ("dagster._core.storage.event_log.base", "the type of the storage that holds the pools"),
    "ASSET_PARTITION_RANGE_END_TAG": ("dagster._core.storage.tags", "the last day of a run"),
    "ASSET_PARTITION_RANGE_START_TAG": ("dagster._core.storage.tags", "the first day of a run"),
    "GRPC_INFO_TAG": ("dagster._core.storage.tags", "the code server of a run, to see whether it is alive"),
    "SENSOR_NAME_TAG": ("dagster._core.storage.tags", "the sensor that requested a run"),
    "location_origins_from_yaml_paths": ("dagster._core.workspace.load", "reads workspace.yaml as the pages do"),
    "ExecuteStepArgs": ("dagster._grpc.types", "the arguments of a step's pod"),
    "ConfigurableClassData": ("dagster._serdes", "the type by which Dagster makes a configured storage"),
    "deserialize_value": ("dagster._serdes", "reads what Dagster serialised"),
    "serialize_value": ("dagster._serdes", "writes what Dagster reads"),
    "SerializableErrorInfo": ("dagster._utils.error", "the type of an error in an event"),
    "recon_repository_from_origin": (
        "dagster._utils.hosted_user_process",
        "loads the code location of a step's pod before its first step",
    ),
    "capture_interrupts": ("dagster._utils.interrupts", "a step's pod ends in order on SIGTERM"),
}


def __getattr__(name: str) -> Any:
    """The private name, imported now.

    Raises:
        AttributeError: the name is not listed here.
    """
    if name not in NAMES:
        raise AttributeError(f"module {__name__} has no {name!r}; list it with its reason")
    value = getattr(import_module(NAMES[name][0]), name)
    globals()[name] = value
    return value
