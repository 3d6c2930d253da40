"""The optimiser takes the steps of torch's class, and imports no compiler."""

import subprocess
import sys

import pytest
import torch

from sinet_pipelines.models.adamw import AdamW

SCRIPT = """
import sys, torch
from sinet_pipelines.models.adamw import AdamW
weight = torch.nn.Parameter(torch.ones(2))
optimiser = AdamW([weight], 0.1, 0.01)
optimiser.zero_grad()
weight.sum().backward()
optimiser.step()
print("torch._dynamo" in sys.modules, bool((weight < 1).all()))
"""


def weights_after(optimiser_of, *, steps=7):
    torch.manual_seed(3)
    net = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    unused = torch.nn.Parameter(torch.ones(2))
    optimiser = optimiser_of([*net.parameters(), unused])
    for _ in range(steps):
        optimiser.zero_grad()
        net(torch.randn(8, 5)).square().mean().backward()
        optimiser.step()
    return [one.detach() for one in (*net.parameters(), unused)]


def test_its_steps_are_those_of_torchs_class():
    ours = weights_after(lambda parameters: AdamW(parameters, 3e-3, 0.05))
    theirs = weights_after(lambda parameters: torch.optim.AdamW(parameters, lr=3e-3, weight_decay=0.05))
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.slow
def test_a_fit_imports_no_compiler():
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False True\n"
