from journal.people import DAY_MS, NOBODY, PERIOD_DAYS, Pseudonyms

KEY = b"k" * 32
NOW_MS = 1_790_000_000_000
PERIOD_MS = PERIOD_DAYS * DAY_MS


def test_a_person_is_the_same_within_a_period_and_another_in_the_next() -> None:
    people, start = Pseudonyms(KEY), NOW_MS // PERIOD_MS * PERIOD_MS
    assert people.of("u1", start) == people.of("u1", start + PERIOD_MS - 1) != people.of("u1", start + PERIOD_MS)
    assert people.of("u1", start) != people.of("u2", start)


def test_nobody_can_be_named_without_the_key() -> None:
    assert Pseudonyms(KEY).of("u1", NOW_MS) != Pseudonyms(b"j" * 32).of("u1", NOW_MS)
    assert Pseudonyms(b"").of("u1", NOW_MS) == NOBODY
    assert Pseudonyms(KEY).of(None, NOW_MS) == Pseudonyms(KEY).of("", NOW_MS) == NOBODY


def test_all_pseudonyms_of_who_is_erased_are_found() -> None:
    people = Pseudonyms(KEY)
    moments = [NOW_MS - days * DAY_MS for days in range(91)]
    assert {people.of("u1", at_ms) for at_ms in moments} == set(people.all_of("u1", moments[-1], NOW_MS))
    assert Pseudonyms(b"").all_of("u1", 0, NOW_MS) == []
