"""Whose a user agent is."""

from core.agents import MAX_AGENT_CHARS, MAX_REMEMBERED_CHARS, Agent, agent_of


def test_a_browser_is_nobody_that_is_known() -> None:
    assert agent_of("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36") is (
        Agent.UNKNOWN
    )


def test_a_long_agent_is_read_and_not_remembered() -> None:
    assert agent_of("curl/8.5.0 " + "x" * MAX_REMEMBERED_CHARS) is Agent.PROGRAM
    assert agent_of("x" * MAX_AGENT_CHARS + "Googlebot") is Agent.UNKNOWN
