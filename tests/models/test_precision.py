"""Choice of the training precision, and refusal of what the machine does not support."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from src.callbacks.tf32 import Tf32
from src.errors import UsageError
from src.models.precision import choose_precision, require_hardware


@pytest.fixture
def machine_with(monkeypatch: pytest.MonkeyPatch) -> Any:
    def pretend(*, gpu: tuple[int, int] | None = None, cpu_bf16: bool = False) -> None:
        monkeypatch.setattr("torch.cuda.is_available", lambda: gpu is not None)
        monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
        monkeypatch.setattr("torch.cuda.get_device_capability", lambda: gpu)
        # With emulation included, torch returns True for older GPUs too.
        monkeypatch.setattr(
            "torch.cuda.is_bf16_supported",
            lambda including_emulation=True: including_emulation or gpu >= (8, 0),
        )
        monkeypatch.setattr("src.system.machine.has_bfloat16", lambda: cpu_bf16)

    return pretend


def model(*, is_faster: bool = True) -> Any:
    return SimpleNamespace(faster_in_bfloat16=is_faster)


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((9, 0), "bf16-mixed"), ((8, 0), "bf16-mixed"), ((7, 5), "16-mixed"), ((6, 1), "32-true")],
)
@pytest.mark.parametrize("accelerator", ["auto", "gpu"])
def test_a_gpu_trains_in_a_precision_that_it_supports_natively(
    machine_with: Any, accelerator: str, capability: tuple[int, int], expected: str
) -> None:
    machine_with(gpu=capability)
    assert choose_precision(accelerator, model(is_faster=False)) == expected


@pytest.mark.parametrize(
    ("has_bf16", "is_faster", "expected"),
    [(True, True, "bf16-mixed"), (True, False, "32-true"), (False, True, "32-true")],
)
def test_a_cpu_trains_in_bf16_if_it_has_it_and_the_network_is_faster(
    machine_with: Any, has_bf16: bool, is_faster: bool, expected: str
) -> None:
    machine_with(cpu_bf16=has_bf16)
    assert choose_precision("auto", model(is_faster=is_faster)) == expected
    machine_with(cpu_bf16=has_bf16, gpu=(9, 0))
    assert choose_precision("cpu", model(is_faster=is_faster)) == expected


@pytest.mark.parametrize("accelerator", ["gpu", "cuda", "mps"])
def test_a_gpu_accelerator_without_a_gpu_is_refused(machine_with: Any, accelerator: str) -> None:
    machine_with()
    with pytest.raises(UsageError, match=r"trainer\.accelerator: .* no GPU here; found"):
        require_hardware(accelerator, None)


@pytest.mark.parametrize("precision", [16, "16", "16-mixed"])
def test_fp16_autocast_on_a_cpu_is_refused(machine_with: Any, precision: int | str) -> None:
    machine_with()
    for accelerator in ("cpu", "auto"):
        with pytest.raises(UsageError, match=r"trainer\.precision: expected 32-true or bf16"):
            require_hardware(accelerator, precision)
    machine_with(gpu=(9, 0))
    require_hardware("auto", precision)
    with pytest.raises(UsageError, match=r"trainer\.precision"):
        require_hardware("cpu", precision)


def test_a_synchronised_batchnorm_on_a_cpu_is_refused(machine_with: Any) -> None:
    machine_with()
    for accelerator in ("cpu", "auto"):
        with pytest.raises(UsageError, match=r"trainer\.sync_batchnorm: expected false on a CPU"):
            require_hardware(accelerator, None, sync_batchnorm=True)
    machine_with(gpu=(9, 0))
    require_hardware("auto", None, sync_batchnorm=True)


def test_tf32_is_enabled_only_in_a_fit_on_a_gpu() -> None:
    precisions = []
    before = torch.get_float32_matmul_precision()
    for device, stage in (("cuda", "fit"), ("cuda", "test"), ("cpu", "fit")):
        trainer: Any = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)))
        callback = Tf32()
        callback.setup(trainer, trainer, stage)
        precisions.append(torch.get_float32_matmul_precision())
        callback.teardown(trainer, trainer, stage)
        assert torch.get_float32_matmul_precision() == before
    assert precisions == ["high", before, before]
