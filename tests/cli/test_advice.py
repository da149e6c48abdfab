"""Advice where a CPU may be faster."""

import xpnet
from xpnet.cli.advice import cpu_is_faster


def test_a_small_step_may_be_faster_on_the_cpu() -> None:
    products, multiplications = xpnet.mlp(784, 128, 10).network.products
    assert (products, multiplications) == (5, 3 * (784 * 128 + 128 * 10) - 784 * 128)
    assert not cpu_is_faster(128 * multiplications, products)
    assert cpu_is_faster(4 * multiplications, products)
    assert cpu_is_faster(64 * multiplications, products, fast=False)
    assert xpnet.mlp(3, 2).network.products == (2, 12)
