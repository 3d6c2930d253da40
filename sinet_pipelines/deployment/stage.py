"""Stages a model for a server: `python -m sinet_pipelines.deployment.stage --home=... --region=... --model=... ...`.

This is the init container of an endpoint's pod, the only container that mounts the region's storage. It reads the graph
by its SHA-256 from the region's blobs, or else from MLflow's folder, and writes the model repository of the server.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from sinet_pipelines.deployment.cluster.sample import read_sample
from sinet_pipelines.deployment.publish import publish_model
from sinet_pipelines.errors import SinetError, StorageError
from sinet_pipelines.registry.graphs import registered_graph
from sinet_pipelines.storage.blobs import BlobStore, blobs_of


@dataclass(frozen=True)
class StageOptions:
    """The options of the init container on its command line.

    Attributes:
        home: path of the home in this pod.
        region: name of the region whose blobs are read.
        model: name of the model to stage.
        version: number of the version to stage, as text.
        sha256: SHA-256 of the version's graph.
        sample: SHA-256 of the blob with the version's sample.
        to: folder of the model repository to write.
    """

    home: str
    region: str
    model: str
    version: str
    sha256: str
    sample: str
    to: str

    def arguments(self) -> list[str]:
        """The options as arguments of a command line."""
        return [f"--{field.name}={getattr(self, field.name)}" for field in fields(self)]


def stage(options: StageOptions) -> Path:
    """Writes the model repository; returns the version's folder. A version that is there already is checked and stays.

    Raises:
        StorageError: the home is not mounted, the graph or the sample is missing, or the folder has another graph.
        ServingError: no server could load the graph.
    """
    home = Path(options.home)
    if not home.is_dir():
        raise StorageError(
            f"there is no home {home} in this pod; mount the storage of {options.region} at the path in its row"
        )
    blobs = blobs_of(home, options.region)
    sample = read_sample(blobs.get(options.sample))
    with tempfile.TemporaryDirectory(dir=options.to) as scratch:
        graph = Path(scratch) / "graph.onnx"
        graph.write_bytes(_graph(home, blobs, options))
        publish_model(Path(options.to), options.model, version=options.version, onnx=graph, sample=sample)
    return Path(options.to) / options.model / options.version


def _graph(home: Path, blobs: BlobStore, options: StageOptions) -> bytes:
    """The bytes of the graph with the requested SHA-256."""
    try:
        return blobs.get(options.sha256)
    except StorageError as missing:
        try:
            return registered_graph(home, options.model, options.version, sha256=options.sha256)
        except StorageError as error:
            raise StorageError(
                f"{options.model} version {options.version} is missing: {missing}; and {error}; "
                "materialise the endpoint again"
            ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Stages a model; returns the exit code. Kubernetes shows the last line of a failure in the pod's status."""
    parser = argparse.ArgumentParser(prog="sinet_pipelines.deployment.stage", allow_abbrev=False)
    for field in fields(StageOptions):
        parser.add_argument(f"--{field.name}", required=True)
    options = StageOptions(**vars(parser.parse_args(arguments)))
    try:
        print(f"staged {stage(options)} with SHA-256 {options.sha256}")
    except SinetError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
