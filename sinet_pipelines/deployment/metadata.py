"""Metadata of a server and its models in the form of the Open Inference Protocol v2, for HTTP and gRPC."""

from collections.abc import Iterable
from importlib.metadata import version as installed_version
from typing import Any

from sinet_pipelines.deployment.catalogue import Catalogue
from sinet_pipelines.deployment.model import PLATFORM
from sinet_pipelines.deployment.tensors import TensorSpec

SERVER: dict[str, Any] = {
    "name": "sinet",
    "version": installed_version("sinet-pipelines"),
    "extensions": ["binary_tensor_data", "model_repository", "model_configuration", "parameters"],
}


def describe_model(catalogue: Catalogue, model: str, version: str | None) -> dict[str, Any]:
    """Metadata of a loaded version; of the default version where `version` is None.

    Raises:
        ModelNotFoundError: the version is not loaded.
    """
    served = catalogue.find(model, version)
    return {
        "name": served.name,
        "versions": [served.version] if version else list(catalogue.versions(model)),
        "platform": PLATFORM,
        "inputs": _tensors(served.inputs.values()),
        "outputs": _tensors(served.outputs.values()),
    }


def model_ready(catalogue: Catalogue, model: str, version: str | None) -> dict[str, Any]:
    """States that a version is ready; of the default version where `version` is None.

    Raises:
        ModelNotFoundError: the version is not loaded.
    """
    served = catalogue.find(model, version)
    return {"name": served.name, "version": served.version, "ready": True}


def model_config(catalogue: Catalogue, model: str, version: str | None) -> dict[str, Any]:
    """Triton's configuration of the model, in the form of JSON.

    Raises:
        ModelNotFoundError: the version is not loaded.
    """
    from google.protobuf import json_format

    return json_format.MessageToDict(catalogue.find(model, version).config, preserving_proto_field_name=True)


def _tensors(specs: Iterable[TensorSpec]) -> list[dict[str, Any]]:
    return [{"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)} for spec in specs]
