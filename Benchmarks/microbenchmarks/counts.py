"""Instructions of one run of a path."""

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Count:
    """Apart from each other: the hash would hide what changes around it. It is that of libcrypto without the processor's
    instructions for SHA-256, which valgrind does not have, so its count is not what runs elsewhere."""

    ours: float
    """Ours and that of all libraries but libcrypto."""
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
