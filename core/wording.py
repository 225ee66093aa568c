"""Word what pages, reports and commands have in common."""


def count_of(count: int, noun: str) -> str:
    """Return the count with its noun: `1 image`, `2 images`; of an AtLeast `7+ images`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
