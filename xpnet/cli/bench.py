"""`xpnet bench`: time a training step and a prediction."""

from typing import Annotated

from xpnet.checks import at_least
from xpnet.cli.options import EVERYDAY, Hidden, begin, widths
from xpnet.cli.parser import option
from xpnet.errors import UsageError


def bench_command(
    hidden: Hidden = "128",
    batch_size: Annotated[int, option(EVERYDAY, "Samples per training step.")] = 128,
    optimizer: Annotated[str, option(EVERYDAY, "As for train.")] = "nesterov",
    threads: Annotated[int, option(EVERYDAY, "Threads of the BLAS.")] = 1,
    rounds: Annotated[int, option(EVERYDAY, "Blocks of each, of 30 ms.")] = 20,
    compare: Annotated[
        bool, option(EVERYDAY, "A step on the CPU beside one on the GPU, in their place.")
    ] = False,
    device: Annotated[
        str | None, option(EVERYDAY, "With --compare: cuda or cuda:N.", default="cuda")
    ] = None,
) -> None:
    """How fast this machine is: a training step and a prediction, beside their matrix products."""
    for name, value in (("batch_size", batch_size), ("rounds", rounds)):
        at_least(name, value, 1)
    shape = widths(hidden)
    begin("mnist", threads)
    from xpnet.device.selection import select_device
    from xpnet.tools.bench import bench, compare_devices, table
    from xpnet.tools.machine_description import machine
    from xpnet.tools.threads import limited

    if device is not None and not compare:
        raise UsageError(f"--device {device} has no effect without --compare")
    gpu = select_device(device or "cuda", strict=True) if compare else None
    if gpu is not None and gpu.kind == "cpu":
        raise UsageError(f"--device {device}: expected a GPU to compare the CPU with")
    with limited(threads) as taken:
        if gpu is None:
            head, rows = bench(shape, batch_size, optimizer, rounds)
            where = "on the CPU"
        else:
            head, rows = compare_devices(gpu, shape, (batch_size,), optimizer, rounds)
            where = f"on the CPU and on {gpu} ({gpu.why})"
        print(f"{'-'.join(map(str, (784, *shape, 10)))}, {optimizer}, float32, MNIST, {where}")
        print(f"{machine()}; threads of the BLAS: {taken}\n\n{table(head, rows)}")
