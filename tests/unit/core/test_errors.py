import pytest

from core import errors
from core.errors import CatalogueError, ConfigError, Fault, GroszError, InputError, NotFoundError, UnavailableError


def test_an_error_s_text_has_its_faults_and_its_hint() -> None:
    faults = [Fault("/a", "x", "is wrong", "mend it"), Fault("/b", "y", "is missing")]
    error = InputError("two faults", hint="see the docs", faults=faults)
    assert str(error) == "two faults\n  /a: is wrong (mend it)\n  /b: is missing\n  hint: see the docs"
    assert error.faults == tuple(faults)


def test_an_error_without_more_is_its_message() -> None:
    error = GroszError("no")
    assert (str(error), error.hint, error.faults) == ("no", "", ())


@pytest.mark.parametrize(
    ("kind", "standard"),
    [
        (ConfigError, ValueError),
        (CatalogueError, ValueError),
        (InputError, ValueError),
        (NotFoundError, LookupError),
        (UnavailableError, ConnectionError),
    ],
)
def test_errors_can_be_caught_as_the_standard_ones(kind: type[GroszError], standard: type[Exception]) -> None:
    assert issubclass(kind, standard)
    with pytest.raises(standard):
        raise kind("no")


def test_the_tree_in_the_docstring_names_every_error_below_the_root() -> None:
    children = {kind.__name__ for kind in GroszError.__subclasses__() if kind.__module__ == "core.errors"}
    assert errors.__doc__ is not None
    assert {name for name in children if name not in errors.__doc__} == set()
