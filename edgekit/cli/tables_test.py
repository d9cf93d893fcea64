import io

from rich.console import Console

from edgekit.cli.tables import label_table, table


def drawn(made, width):
    stream = io.StringIO()
    Console(file=stream, width=width).print(made)
    return stream.getvalue()


def test_a_narrow_terminal_breaks_words_and_loses_none():
    digest = "20ba0ec138fe0b0af9121c8a7beb2463"
    narrow = drawn(label_table([("sha256", digest)]), 30)
    assert digest in "".join(narrow.replace("sha256", "").split())
    text = drawn(table(("artifact", "cosine"), [("build/all/android/model.tflite", "0.999912")], right=(1,)), 24)
    assert "…" not in text and "0.999912" in "".join(text.split())


def test_figures_stand_to_the_right():
    assert drawn(table(("n", "bytes"), [("a", "1"), ("b", "1,000")], right=(1,)), 40).splitlines()[1] == " a      1 "
