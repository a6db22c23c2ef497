"""The demo counts what it shows, and shows a failure as one."""

import pytest

from pmi_kernel.studies.demo import DemoSettings, demo


def test_the_demo_says_what_was_right_and_of_how_many(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo(DemoSettings(engine="scripted", facts=3, seed=5)) == 0
    told = capsys.readouterr().out
    assert told.startswith("3 invented facts (seed 5)")
    counts = (
        "right before 0, after 0, with another's memory 0, with the passage in the prompt 0 of 3"
    )
    assert counts in told.replace("\n", " ")
    assert told.count("- ") >= 3 * 4
    assert "10 well-known questions" in told
    assert "answered as before 10 of 10" in told
