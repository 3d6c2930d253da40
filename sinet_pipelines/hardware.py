"""The kinds of accelerator: memory, number formats, how one reaches them; a row is a kind.

The ids are the words used in code, files and JSON. Memory is that of one device.
"""

from dataclasses import dataclass

from sinet_pipelines.errors import UnknownHardwareError


@dataclass(frozen=True)
class Hardware:
    """A kind of accelerator.

    Attributes:
        id: the word used everywhere.
        memory_bytes: memory of one device; 0 where the kind has no fixed memory (`cpu`).
        formats: number formats it computes in, the narrowest last.
        access: how a step reaches it.
        source: where the memory figure is from.
    """

    id: str
    memory_bytes: int
    formats: tuple[str, ...]
    access: str
    source: str


GIB = 1024**3

HARDWARE: tuple[Hardware, ...] = (
    Hardware("cpu", 0, ("fp64", "fp32", "int8"), "direct", "memory is the node's"),
    Hardware(
        "nvidia-a100",
        80 * GIB,
        ("fp64", "fp32", "tf32", "bf16", "fp16", "int8"),
        "PCI passthrough",
        "NVIDIA A100 80GB data sheet",
    ),
    Hardware(
        "nvidia-h100",
        80 * GIB,
        ("fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "int8"),
        "PCI passthrough",
        "NVIDIA H100 data sheet",
    ),
    Hardware(
        "amd-mi250", 128 * GIB, ("fp64", "fp32", "bf16", "fp16", "int8"), "SR-IOV", "AMD Instinct MI250 data sheet"
    ),
    Hardware("tpu-v4", 32 * GIB, ("fp32", "bf16", "int8"), "bare-metal Kubernetes", "Jouppi et al., TPU v4, ISCA 2023"),
    Hardware("cerebras-cs2", 40 * GIB, ("fp32", "fp16"), "dedicated", "Cerebras WSE-2 data sheet: 40 GB on the wafer"),
    Hardware("nvidia-t4", 16 * GIB, ("fp32", "fp16", "int8", "int4"), "direct", "NVIDIA T4 data sheet"),
    Hardware(
        "nvidia-a10", 24 * GIB, ("fp32", "tf32", "bf16", "fp16", "int8", "int4"), "direct", "NVIDIA A10 data sheet"
    ),
    Hardware(
        "fpga", 16 * GIB, ("int8", "int4"), "direct", "assumption: a card with 16 GiB, the kind of AMD Alveo U55C"
    ),
    Hardware("graphcore-ipu", 900 * 1024**2, ("fp32", "fp16"), "container-native", "Graphcore GC200: 900 MB on chip"),
    Hardware("neuromorphic", 0, ("int8",), "hardware API", "synapses, not bytes, are what such chips count"),
)

_BY_ID = {row.id: row for row in HARDWARE}


def get_hardware(hardware_id: str) -> Hardware:
    """The kind with this id.

    Raises:
        UnknownHardwareError: no kind has this id.

    >>> get_hardware("nvidia-t4").access
    'direct'
    """
    if hardware_id not in _BY_ID:
        known = ", ".join(_BY_ID)
        raise UnknownHardwareError(f"no hardware {hardware_id!r} (known: {known}); add a row to hardware.py")
    return _BY_ID[hardware_id]
