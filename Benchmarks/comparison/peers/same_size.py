"""Headers that make nginx's answer as long as ours.

nginx always sends Server and Connection, which we do not. To make both sides write the same amount, nginx gets the longest of our
headers until their number is equal, and the longest value is cut or padded until the bytes are equal.
"""

Headers = list[tuple[str, str]]


def same_size(ours: Headers, unavoidable: Headers) -> tuple[tuple[str, str], ...]:
    """The headers that nginx must add to those that it always sends. Raises ValueError if equal lengths are not possible."""
    known = {name.lower() for name, _ in unavoidable}
    free = sorted((header for header in ours if header[0].lower() not in known), key=line_bytes, reverse=True)
    count = len(ours) - len(unavoidable)
    if not 1 <= count <= len(free):
        raise ValueError("nginx sends more headers by itself than we do")
    (name, value), *others = free[:count]
    missing = total_bytes(ours) - total_bytes(unavoidable) - total_bytes([(name, value), *others])
    fitted = value + "x" * missing if missing >= 0 else value[:missing]
    if not fitted:
        raise ValueError("nginx's headers are too long to match ours")
    return ((name, fitted), *others)


def line_bytes(header: tuple[str, str]) -> int:
    """Bytes of `Name: value` with its line end."""
    return len(header[0]) + len(header[1]) + 4


def total_bytes(headers: Headers) -> int:
    return sum(map(line_bytes, headers))
