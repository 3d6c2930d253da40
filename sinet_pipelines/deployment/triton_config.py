"""Writes and reads Triton's model configuration `config.pbtxt` with Triton's own protobufs.

The platform's server reads the batch limit and the warm-up sample from it; a Triton server reads all of it ("Model
Configuration" in the Triton user guide). Its shapes have no batch axis.
"""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sinet_pipelines.deployment.tensors import TensorSpec, from_raw
from sinet_pipelines.errors import ServingError, UsageError

CONFIG_FILE = "config.pbtxt"
WARMUP_FOLDER = "warmup"
MAX_BATCH = 1024  # rows of one request: 4 MB of windows; every family predicts them in less than a second on one core


def config_text(
    model: str, *, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], max_batch: int = MAX_BATCH
) -> str:
    """The text of the `config.pbtxt` of a model with this signature.

    Args:
        model: name of the model.
        inputs: declarations of the inputs; the first axis is the batch.
        outputs: declarations of the outputs, likewise.
        max_batch: largest number of rows of one request.
    """
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2 as pb

    config = pb.ModelConfig(name=model, backend="onnxruntime", platform="onnxruntime_onnx", max_batch_size=max_batch)
    config.version_policy.all.SetInParent()
    config.instance_group.add(count=1, kind=pb.ModelInstanceGroup.KIND_CPU)
    config.parameters["intra_op_thread_count"].string_value = "1"  # one core a server; more load needs more servers
    for spec in inputs:
        config.input.add(name=spec.name, data_type=_number_of(spec), dims=spec.shape[1:])
    for spec in outputs:
        config.output.add(name=spec.name, data_type=_number_of(spec), dims=spec.shape[1:])
    sane = config.model_warmup.add(name="sane", batch_size=1)
    for spec in inputs:
        tensor = sane.inputs[spec.name]
        tensor.data_type, tensor.input_data_file = _number_of(spec), spec.name
        tensor.dims.extend(spec.shape[1:])
    return text_format.MessageToString(config)


def read_config(repository: Path, model: str) -> Any:
    """The model's configuration, a `ModelConfig` of Triton's protobufs.

    Raises:
        ServingError: the file is missing or invalid.
    """
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    try:
        text = (repository / model / CONFIG_FILE).read_text()
        return text_format.Parse(text, model_config_pb2.ModelConfig())
    except (OSError, ValueError, text_format.ParseError) as error:
        raise ServingError(f"{CONFIG_FILE} of {model!r} cannot be read: {error}; publish the model again") from error


def read_sample(repository: Path, config: Any) -> dict[str, NDArray]:
    """The valid row for the warm-up: input name -> (1, ...) array.

    Raises:
        ServingError: a file of the sample is missing, or its bytes do not fit the declared type and shape.
    """
    sample: dict[str, NDArray] = {}
    folder = repository / config.name / WARMUP_FOLDER
    for warmup in config.model_warmup:
        for name, tensor in warmup.inputs.items():
            shape = (warmup.batch_size, *tensor.dims)
            try:
                raw = (folder / Path(tensor.input_data_file).name).read_bytes()
                sample[name] = from_raw(memoryview(raw), TensorSpec(name, _name_of(tensor.data_type), shape), shape)
            except (OSError, ValueError, KeyError, UsageError) as error:
                raise ServingError(f"sample {name!r} of {config.name!r}: {error}; publish the model again") from error
    return sample


def _number_of(spec: TensorSpec) -> int:
    """Triton's number of a datatype; Triton's names differ from the protocol's in one case."""
    from tritonclient.grpc import model_config_pb2

    return model_config_pb2.DataType.Value(f"TYPE_{spec.datatype.replace('BYTES', 'STRING')}")


def _name_of(number: int) -> str:
    """The protocol's name of the datatype with this number in Triton."""
    from tritonclient.grpc import model_config_pb2

    return model_config_pb2.DataType.Name(number).removeprefix("TYPE_").replace("STRING", "BYTES")
