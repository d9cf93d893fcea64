import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import UsageError
from edgekit_runtimes.transports._script import Guarded, program, quoted_path

WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)


@settings(max_examples=60)
@given(st.lists(WORDS, max_size=5), st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True), WORDS, max_size=3))
def test_any_argument_and_variable_arrives(words, variables):
    variables = {f"EK_{name}": value for name, value in variables.items()}
    wanted = [*words, *(variables[name] for name in sorted(variables))]
    names = " ".join(f'"${name}"' for name in sorted(variables))
    script = program(["sh", "-c", f'printf "%s\\0" "$@" {names} end', "sh", *words], environment=variables)
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True)
    assert done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1] == [*wanted, "end"]


@given(st.binary(max_size=100), st.integers(0, 255))
def test_an_exit_code_is_read_behind_whatever_was_said(said, code):
    guarded = Guarded("true")
    assert guarded.read(said + f"\n{guarded.token} {code}\n".encode()) == (said, code)


@given(st.binary(max_size=200))
def test_no_program_can_make_one_up(said):
    assert Guarded("true").read(said) == (said, None)


@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "busybox", "mksh", "zsh"])
def test_shells_of_all_kinds(shell):
    import shutil

    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    guarded = Guarded(program(["sh", "-c", "echo out; echo err >&2; exit 7"]))
    command = [shell, "sh", "-c", guarded.script] if shell == "busybox" else [shell, "-c", guarded.script]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.wait(30) == 0
        assert process.stdout.read() == b"out\n"
        assert guarded.read(process.stderr.read()) == (b"err\n", 7)


def test_the_switch_kills_the_program_alone_where_the_group_is_not_ours():
    guarded = Guarded(program(["sleep", "600"]))
    with subprocess.Popen(["/bin/sh", "-c", guarded.script], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.close()
        assert guarded.read(process.stderr.read())[1] == 137
        assert process.wait(30) == 0


def test_paths_that_look_like_options():
    assert quoted_path("-rf") == "./-rf"
    assert quoted_path("/a b") == "'/a b'"


@pytest.mark.parametrize("argv", [[], [""], ["x\0"]])
def test_what_no_shell_can_run(argv):
    with pytest.raises(UsageError):
        program(argv)
