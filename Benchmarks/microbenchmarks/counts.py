"""Instructions of one run of a path."""

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Count:
    """Our instructions and those of libcrypto, separately, since the hash would hide changes of the rest. valgrind does not support
    the SHA-256 instructions of the processor, so libcrypto's count is that of its fallback."""

    ours: float
    """Including those of all libraries except libcrypto."""
    libcrypto: float

    @staticmethod
    def of(executed: Counter[str], runs: int) -> "Count":
        hashing = sum(number for library, number in executed.items() if library.startswith("libcrypto.so"))
        return Count((executed.total() - hashing) / runs, hashing / runs)

    def json(self) -> dict[str, float]:
        return {"ours": round(self.ours, 1), "libcrypto": round(self.libcrypto, 1)}

    @staticmethod
    def read(fields: dict[str, float]) -> "Count":
        return Count(fields["ours"], fields["libcrypto"])
