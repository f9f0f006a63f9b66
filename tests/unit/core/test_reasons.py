from core.reasons import NO_BID_REASONS, REASON_COUNT, NoBid, text_of_reason


def test_each_reason_has_a_place_of_its_own_in_arrays_of_counters() -> None:
    assert [reason.index for reason in NO_BID_REASONS] == list(range(REASON_COUNT))
    assert len(NoBid.__members__) == REASON_COUNT, "no two reasons have the same text, which would make them one"


def test_each_reason_has_a_code_of_openrtb_a_sentence_and_a_hint() -> None:
    for reason in NoBid:
        assert 0 <= reason.nbr <= 17
        assert reason.text
        assert reason.hint
        assert not reason.text.endswith(".")


def test_a_reason_is_said_by_the_name_that_metrics_have() -> None:
    assert text_of_reason("floor") == NoBid.FLOOR.text
    assert text_of_reason("won") == "won"
