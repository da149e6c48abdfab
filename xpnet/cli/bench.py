"""`xpnet bench`."""

from typing import Annotated

from xpnet.cli.options import EVERYDAY, Hidden, begin, widths
from xpnet.cli.parser import option
from xpnet.errors import at_least


def bench_command(
    hidden: Hidden = "128",
    batch_size: Annotated[int, option(EVERYDAY, "Samples per training step.")] = 128,
    optimizer: Annotated[str, option(EVERYDAY, "As for train.")] = "nesterov",
    threads: Annotated[int, option(EVERYDAY, "Threads of the BLAS.")] = 1,
    rounds: Annotated[int, option(EVERYDAY, "Blocks of each, of 30 ms.")] = 20,
) -> None:
    """How fast this machine is: a training step and a prediction, beside their matrix products."""
    for name, value in (("batch_size", batch_size), ("rounds", rounds)):
        at_least(name, value, 1)
    shape = widths(hidden)
    begin("mnist", threads)
    from xpnet.bench import bench, machine, table
    from xpnet.threads import limited

    with limited(threads) as taken:
        head, rows = bench(shape, batch_size, optimizer, rounds)
        print(f"{'-'.join(map(str, (784, *shape, 10)))}, {optimizer}, float32, MNIST, on the CPU")
        print(f"{machine()}; threads of the BLAS: {taken}\n\n{table(head, rows)}")
