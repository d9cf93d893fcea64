import pytest

from edgekit.errors import ConversionError, UsageError
from edgekit.targets import load_target
from edgekit.targets.platform import Platform

TABLE = {
    "name": "iOS", "option": "ios", "versions": ["16", "17", "18"], "minimum": "17",
    "features": {"old": "16", "newer": "17", "newest": "18"}, "operators": {"attention": "18"},
}  # fmt: skip


def test_what_a_version_reads():
    platform = Platform.from_table(TABLE)
    assert platform.has("old") and platform.has("newer") and platform.has("never listed") and not platform.has("newest")
    assert platform.lowered == ("attention",) and platform.at("18").lowered == ()
    platform.need("newer")
    with pytest.raises(ConversionError, match="newest need iOS 18, but the file was asked for iOS 17") as error:
        platform.need("newest", module="layer1")
    assert error.value.module == "layer1" and "--ios 18" in str(error.value)


def test_bad_tables_and_versions():
    with pytest.raises(UsageError, match=r"lacks \['versions'\]"):
        Platform.from_table({k: v for k, v in TABLE.items() if k != "versions"})
    with pytest.raises(UsageError, match="no iOS 19 is known"):
        Platform.from_table(TABLE | {"features": {"x": "19"}})
    with pytest.raises(UsageError, match="no iOS 15 is known"):
        Platform.from_table(TABLE).at("15")


def test_the_target_lowers_what_its_version_lacks():
    target = load_target("ios")
    assert target.platform is not None and target.platform.minimum == "17"
    assert "scaled_dot_product_attention" in target.rules.lower
    newer = target.at("18")
    assert "scaled_dot_product_attention" not in newer.rules.lower
    assert newer.at("17").rules.lower == target.rules.lower
    assert set(newer.at("16").rules.lower) - set(target.rules.lower) == {"lstm"}
    assert set(target.rules.lower) - set(newer.rules.lower) == {"scaled_dot_product_attention", "gru"}
    with pytest.raises(UsageError, match="no versions to choose from"):
        load_target("android").at("17")
