from core.remembered import RememberedValues


def test_a_value_is_worked_out_once_and_forgotten_with_all_others_when_there_are_too_many() -> None:
    asked: list[int] = []

    def doubled(number: int) -> int:
        asked.append(number)
        return 2 * number

    remembered = RememberedValues(doubled, most=2)
    assert [remembered[number] for number in (1, 2, 1, 2)] == [2, 4, 2, 4]
    assert asked == [1, 2]
    assert [remembered[number] for number in (3, 1, 3)] == [6, 2, 6]
    assert asked == [1, 2, 3, 1]
    assert len(remembered) == 2
