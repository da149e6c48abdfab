"""`Problem`: a reason why a GPU cannot be used, and its remedy; errors of CuPy in a line."""

from dataclasses import dataclass

INSTALL = 'pip install "xpnet[cuda]" (in a clone: ".[cuda]")'

CUDA_ERRORS = {
    "CUDARuntimeError", "CUDADriverError", "CUBLASError", "CublasError", "OutOfMemoryError",
}  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """Why a device cannot be used, and what to do about it."""

    reason: str
    remedy: str
    passes: bool = False
    """Whether it may be over when one asks again."""

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}"


def first_line(error: BaseException) -> str:
    """The error in a line: its cause's, if that has one; CuPy frames its messages with = and *."""
    error = error.__cause__ or error
    lines = [line.strip(" =*") for line in str(error).splitlines()]
    return f"{type(error).__name__}: {next(filter(None, lines), '')}"


def lacks_memory(text: str) -> bool:
    """Whether an error of CuPy, CUDA or cuBLAS in a line means that memory does not suffice."""
    return any(sign in text for sign in ("OutOfMemory", "MemoryAllocation", "ALLOC_FAILED"))
