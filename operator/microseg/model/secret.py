"""A secret value whose every text form is a mask, so that no log line, traceback or f-string can leak it."""

from __future__ import annotations


class Secret:
    """Holds one secret string; only `reveal()` gives it back."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Take the value."""
        self._value = value

    def reveal(self) -> str:
        """The value itself: call it only in the argument of the call that needs it."""
        return self._value

    def __repr__(self) -> str:
        """A mask."""
        return "Secret(****)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        """Equal when the values are."""
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        """Hash of the value."""
        return hash(self._value)

    def __reduce__(self) -> tuple[object, ...]:
        """Refuse to be pickled."""
        raise TypeError("a Secret cannot be pickled")
