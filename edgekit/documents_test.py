import pytest

from edgekit import documents
from edgekit.errors import UsageError
from edgekit.profiling.estimating import load_device_file
from edgekit.recipes import load_recipe
from edgekit.targets import load_target


@pytest.mark.parametrize("read", [documents.read_text, documents.read_toml, documents.read_json])
@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"], ids=["missing", "binary"])
def test_a_file_that_is_no_text_is_one_clear_error(tmp_path, read, content):
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"cannot read .*mine\.toml"):
        read(path)


def test_toml_is_read_without_its_schema_line(tmp_path):
    path = tmp_path / "board.toml"
    path.write_text('schema = "edgekit.device/1"\nname = "µ"\n', encoding="utf-8")
    assert documents.read_toml(path, "edgekit.device/1") == {"name": "µ"}


@pytest.mark.parametrize(
    ("text", "message"),
    [("a = ", "not valid TOML"), ("a = 1", "has no schema line"), ('schema = "edgekit.device/2"', "has schema 'edgekit.device/2'")],
)
def test_toml_of_another_kind_is_refused(text, message):
    with pytest.raises(UsageError, match=message):
        documents.parse_toml(text, "board.toml", "edgekit.device/1")


@pytest.mark.parametrize("text", ["{", "[NaN]", "[" * 100_000])
def test_json_that_is_none_is_refused_with_what_to_do(tmp_path, text):
    path = tmp_path / "manifest.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="not valid JSON") as caught:
        documents.read_json(path, next_step="convert again")
    assert caught.value.next_step == "convert again"


def test_what_is_written_reads_back(tmp_path):
    path = tmp_path / "new" / "report.json"
    documents.write_json(path, {"device": "Gerät", "samples": [1, 2]})
    assert documents.read_json(path) == {"device": "Gerät", "samples": [1, 2]}
    with pytest.raises(ValueError, match="JSON"):
        documents.write_json(path, float("nan"))


def test_binary_files_where_users_give_toml_are_refused_alike(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    for read in (load_recipe, load_target, load_device_file):
        with pytest.raises(UsageError, match="it is not text"):
            read(str(path))
