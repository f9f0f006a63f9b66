"""Values of a function that are asked for again and again, in a dictionary with a bound."""

from collections.abc import Callable
from typing import TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class RememberedValues(dict[_Key, _Value]):
    """`remembered[key]` is `function(key)`, worked out once; all is forgotten when there are `most` keys.

    A key that is there costs what a dictionary's costs, a third of functools.lru_cache: no call is made, and no order
    of use is kept.
    """

    __slots__ = ("_function", "_most")

    def __init__(self, function: Callable[[_Key], _Value], most: int) -> None:
        super().__init__()
        self._function, self._most = function, most

    def __missing__(self, key: _Key) -> _Value:
        if len(self) >= self._most:
            self.clear()
        value = self[key] = self._function(key)
        return value
