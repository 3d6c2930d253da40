"""The kinds of accelerator: memory, number formats, speed, price, access; each row is one kind.

The ids are used in code, files and JSON. Every figure is for one device (for `cpu`, one core) and has its source. A
kind in `inventory.yaml` changes one of these rows or is added to them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sinet_pipelines.errors import InventoryError, UnknownHardwareError
from sinet_pipelines.inventory.figures import Figure, assumed
from sinet_pipelines.inventory.file import with_entries

FORMATS = ("fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "int8", "int4")
ACCESS = (
    "direct",
    "PCI passthrough",
    "SR-IOV",
    "bare-metal Kubernetes",
    "dedicated",
    "container-native",
    "hardware API",
)


@dataclass(frozen=True)
class Hardware:
    """A kind of accelerator.

    Attributes:
        id: the name used everywhere.
        memory_bytes: memory of one device; 0 where the kind has no fixed memory (`cpu`).
        formats: number formats it computes in, the narrowest last.
        access: how a step accesses it.
        source: source of the memory figure.
        accelerator: class of interchangeable kinds: `gpu`, `tpu`, ...; `cpu` for none.
        peak_tflops: dense peak by format, 10^12 operations per second.
        power_w: power of one device under load.
        usd_per_hour: price of a reserved device.
        usd_per_hour_spot: price of a preemptible device; None where none is offered.
        interruptions_per_hour: rate of preemption of a spot device.
        devices_per_node: the largest number for one pod.
        resource_name: its name in the cluster's device plugin; empty for `cpu`.
        node_labels: labels of the nodes that have it.
        taint: the key of the taint that excludes other pods; empty for none.
        runtime_class: container runtime class for its use; empty for the default.
    """

    id: str
    memory_bytes: int
    formats: tuple[str, ...]
    access: str
    source: str
    accelerator: str = field(kw_only=True)
    power_w: Figure = field(kw_only=True)
    usd_per_hour: Figure = field(kw_only=True)
    usd_per_hour_spot: Figure | None = field(default=None, kw_only=True)
    interruptions_per_hour: Figure | None = field(default=None, kw_only=True)
    peak_tflops: Mapping[str, Figure] = field(default_factory=dict, kw_only=True, hash=False)
    devices_per_node: int = field(default=1, kw_only=True)
    resource_name: str = field(default="", kw_only=True)
    node_labels: Mapping[str, str] = field(default_factory=dict, kw_only=True, hash=False)
    taint: str = field(default="", kw_only=True)
    runtime_class: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if strangers := set(self.formats).union(self.peak_tflops).difference(FORMATS):
            raise InventoryError(f"{self.id} has formats {sorted(strangers)} (known: {', '.join(FORMATS)}); use these")
        if self.access not in ACCESS:
            raise InventoryError(
                f"{self.id} is reached by {self.access!r} (known: {', '.join(ACCESS)}); use one of these"
            )
        if self.memory_bytes < 0 or self.devices_per_node < 1:
            raise InventoryError(
                f"{self.id} has {self.memory_bytes} bytes and {self.devices_per_node} devices a node; "
                "give 0 bytes or more, and at least one device"
            )
        if (self.usd_per_hour_spot is None) != (self.interruptions_per_hour is None):
            raise InventoryError(f"{self.id}: give usd_per_hour_spot and interruptions_per_hour both, or neither")

    @property
    def is_cpu(self) -> bool:
        """Whether the kind is a node's own cores, which need no device plugin and no device count."""
        return not self.resource_name


GIB = 1024**3

_LIST = "near public list prices of 2025, rounded; no price of this site"
_SPOT = "a third of the reserved price, as spot markets often have it"
_TAKEN = "one in fifty hours, a calm spot market"


def _sheet(name: str, **tflops: float) -> dict[str, Figure]:
    return {number_format: Figure(value, name) for number_format, value in tflops.items()}


_A100, _H100 = "NVIDIA A100 80GB SXM data sheet", "NVIDIA H100 SXM data sheet, without sparsity"
_MI250, _TPU = "AMD Instinct MI250 data sheet", "Jouppi et al., TPU v4, ISCA 2023"
_T4, _A10, _IPU = "NVIDIA T4 data sheet", "NVIDIA A10 data sheet", "Graphcore IPU-M2000 data sheet, a quarter of it"
_PLUGIN = "sinet.ai"  # prefix for device plugins that no vendor ships

_SHIPPED: tuple[Hardware, ...] = (
    Hardware(
        "cpu",
        0,
        ("fp64", "fp32", "int8"),
        "direct",
        "memory is the node's",
        accelerator="cpu",
        power_w=assumed(6.0, "a server of 64 cores under load, 380 W"),
        usd_per_hour=assumed(0.04, f"one core with 4 GiB; {_LIST}"),
        usd_per_hour_spot=assumed(0.013, _SPOT),
        interruptions_per_hour=assumed(0.02, _TAKEN),
        peak_tflops={"fp32": assumed(0.08, "one core, AVX2, two fused units at 2.5 GHz")},
    ),
    Hardware(
        "nvidia-a100",
        80 * GIB,
        ("fp64", "fp32", "tf32", "bf16", "fp16", "int8"),
        "PCI passthrough",
        "NVIDIA A100 80GB data sheet",
        accelerator="gpu",
        power_w=Figure(400, _A100),
        usd_per_hour=assumed(3.2, _LIST),
        usd_per_hour_spot=assumed(1.1, _SPOT),
        interruptions_per_hour=assumed(0.02, _TAKEN),
        peak_tflops=_sheet(_A100, fp64=9.7, fp32=19.5, tf32=156, bf16=312, fp16=312, int8=624),
        devices_per_node=8,
        resource_name="nvidia.com/gpu",
        node_labels={"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"},
        taint="nvidia.com/gpu",
        runtime_class="nvidia",
    ),
    Hardware(
        "nvidia-h100",
        80 * GIB,
        ("fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "int8"),
        "PCI passthrough",
        "NVIDIA H100 data sheet",
        accelerator="gpu",
        power_w=Figure(700, _H100),
        usd_per_hour=assumed(6.9, _LIST),
        usd_per_hour_spot=assumed(2.3, _SPOT),
        interruptions_per_hour=assumed(0.05, "one in twenty hours: what is scarce is taken away more often"),
        peak_tflops=_sheet(_H100, fp64=34, fp32=67, tf32=494, bf16=989, fp16=989, fp8=1979, int8=1979),
        devices_per_node=8,
        resource_name="nvidia.com/gpu",
        node_labels={"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
        taint="nvidia.com/gpu",
        runtime_class="nvidia",
    ),
    Hardware(
        "amd-mi250",
        128 * GIB,
        ("fp64", "fp32", "bf16", "fp16", "int8"),
        "SR-IOV",
        "AMD Instinct MI250 data sheet",
        accelerator="gpu",
        power_w=Figure(500, _MI250),
        usd_per_hour=assumed(2.5, "between its peers of that year by speed; few places list it"),
        peak_tflops=_sheet(_MI250, fp64=45.3, fp32=45.3, bf16=362.1, fp16=362.1, int8=362.1),
        devices_per_node=4,
        resource_name="amd.com/gpu",
        node_labels={"amd.com/gpu.product-name": "AMD_Instinct_MI250"},
        taint="amd.com/gpu",
    ),
    Hardware(
        "tpu-v4",
        32 * GIB,
        ("fp32", "bf16", "int8"),
        "bare-metal Kubernetes",
        _TPU,
        accelerator="tpu",
        power_w=Figure(170, f"{_TPU}: mean of a chip at work"),
        usd_per_hour=assumed(3.2, _LIST),
        usd_per_hour_spot=assumed(1.1, _SPOT),
        interruptions_per_hour=assumed(0.02, _TAKEN),
        peak_tflops=_sheet(_TPU, bf16=275, int8=275),
        devices_per_node=4,
        resource_name="google.com/tpu",
        node_labels={"cloud.google.com/gke-tpu-accelerator": "tpu-v4-podslice"},
        taint="google.com/tpu",
    ),
    Hardware(
        "cerebras-cs2",
        40 * GIB,
        ("fp32", "fp16"),
        "dedicated",
        "Cerebras WSE-2 data sheet: 40 GB on the wafer",
        accelerator="wafer",
        power_w=Figure(23_000, "Cerebras CS-2 data sheet: peak of the system"),
        usd_per_hour=assumed(150.0, "rented by the week, not by the hour; nobody lists a price"),
        peak_tflops={
            "fp16": assumed(7_500, "a few thousand by its core count and clock; Cerebras publishes no dense peak")
        },
        resource_name=f"{_PLUGIN}/cerebras-cs2",
        node_labels={f"{_PLUGIN}/hardware": "cerebras-cs2"},
        taint=f"{_PLUGIN}/cerebras-cs2",
    ),
    Hardware(
        "nvidia-t4",
        16 * GIB,
        ("fp32", "fp16", "int8", "int4"),
        "direct",
        _T4,
        accelerator="gpu",
        power_w=Figure(70, _T4),
        usd_per_hour=assumed(0.4, _LIST),
        usd_per_hour_spot=assumed(0.15, _SPOT),
        interruptions_per_hour=assumed(0.02, _TAKEN),
        peak_tflops=_sheet(_T4, fp32=8.1, fp16=65, int8=130, int4=260),
        devices_per_node=4,
        resource_name="nvidia.com/gpu",
        node_labels={"nvidia.com/gpu.product": "Tesla-T4"},
        taint="nvidia.com/gpu",
        runtime_class="nvidia",
    ),
    Hardware(
        "nvidia-a10",
        24 * GIB,
        ("fp32", "tf32", "bf16", "fp16", "int8", "int4"),
        "direct",
        _A10,
        accelerator="gpu",
        power_w=Figure(150, _A10),
        usd_per_hour=assumed(0.9, _LIST),
        usd_per_hour_spot=assumed(0.35, _SPOT),
        interruptions_per_hour=assumed(0.02, _TAKEN),
        peak_tflops=_sheet(_A10, fp32=31.2, tf32=62.5, bf16=125, fp16=125, int8=250, int4=500),
        devices_per_node=4,
        resource_name="nvidia.com/gpu",
        node_labels={"nvidia.com/gpu.product": "NVIDIA-A10"},
        taint="nvidia.com/gpu",
        runtime_class="nvidia",
    ),
    Hardware(
        "fpga",
        16 * GIB,
        ("int8", "int4"),
        "direct",
        "assumption: a card with 16 GiB, the kind of AMD Alveo U55C",
        accelerator="fpga",
        power_w=Figure(150, "AMD Alveo U55C data sheet: most of a card"),
        usd_per_hour=assumed(1.65, _LIST),
        peak_tflops={"int8": assumed(30, "of a card of that size; it depends on the bitstream")},
        devices_per_node=2,
        resource_name=f"{_PLUGIN}/fpga",
        node_labels={f"{_PLUGIN}/hardware": "fpga"},
        taint=f"{_PLUGIN}/fpga",
    ),
    Hardware(
        "graphcore-ipu",
        900 * 1024**2,
        ("fp32", "fp16"),
        "container-native",
        "Graphcore GC200: 900 MB on chip",
        accelerator="ipu",
        power_w=assumed(300, "a quarter of a server of four with its fans"),
        usd_per_hour=assumed(2.0, _LIST),
        peak_tflops=_sheet(_IPU, fp32=62.5, fp16=250),
        devices_per_node=4,
        resource_name=f"{_PLUGIN}/ipu",
        node_labels={f"{_PLUGIN}/hardware": "graphcore-ipu"},
        taint=f"{_PLUGIN}/ipu",
    ),
    Hardware(
        "neuromorphic",
        0,
        ("int8",),
        "hardware API",
        "synapses, not bytes, are what such chips count",
        accelerator="neuromorphic",
        power_w=assumed(1.0, "about a watt, as published for research chips"),
        usd_per_hour=assumed(1.0, "research access has no list price"),
        resource_name=f"{_PLUGIN}/neuromorphic",
        node_labels={f"{_PLUGIN}/hardware": "neuromorphic"},
        taint=f"{_PLUGIN}/neuromorphic",
    ),
)


def read_hardware(path: Path | None) -> tuple[Hardware, ...]:
    """The default kinds of hardware, changed and extended by an inventory file.

    Args:
        path: path of the file; None for no file.

    Raises:
        InventoryError: an entry is invalid; the message has its line.
    """
    return with_entries(_SHIPPED, "hardware", by="id", path=path)


def kind_of(rows: Sequence[Hardware], hardware_id: str) -> Hardware:
    """The kind with this id.

    Raises:
        UnknownHardwareError: none of the rows has this id.

    >>> kind_of(read_hardware(None), "nvidia-t4").access
    'direct'
    """
    for row in rows:
        if row.id == hardware_id:
            return row
    known = ", ".join(row.id for row in rows)
    raise UnknownHardwareError(f"no hardware {hardware_id!r} (known: {known}); add it to inventory.yaml")
