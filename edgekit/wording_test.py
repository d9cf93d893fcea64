from edgekit.wording import plural, suggestion


def test_counts_have_the_right_noun():
    assert plural(1, "concession") == "1 concession" and plural(0, "concession") == "0 concessions"
    assert plural(2, "launch", "launches") == "2 launches" and plural(1200, "run") == "1,200 runs"


def test_only_a_name_that_resembles_a_known_one_is_suggested():
    assert suggestion("andriod", ("android", "ios")) == ", did you mean 'android'?"
    assert suggestion("toaster", ("android", "ios")) == ""
