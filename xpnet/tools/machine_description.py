"""What is measured on: the processor, how busy it is, and the versions of the libraries."""

import importlib.metadata
import os
import platform
from pathlib import Path

import numpy as np


def machine(*distributions: str) -> str:
    """What was measured on, how busy it is, and versions: Python, NumPy, its BLAS, and others."""
    from threadpoolctl import threadpool_info

    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count()
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    blas = [
        " ".join(filter(None, (p["internal_api"], p["version"], p.get("architecture"))))
        for p in threadpool_info()
        if p["user_api"] == "blas"
    ]
    others = [f"{name} {version(name)}" for name in distributions if version(name)]
    return ", ".join(
        [f"{_processor()}, {cores} cores, load {load}; Python {platform.python_version()}",
         f"NumPy {np.__version__}", *blas, *others]
    )  # fmt: skip


def version(distribution: str) -> str:
    """The version of what is installed, or nothing."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return f"{names[0]} ({platform.machine()})" if names else platform.machine()
