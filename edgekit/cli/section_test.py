"""Headings in ``--help``."""

import re

import click
import pytest

from edgekit.cli.app import COMMANDS, app
from edgekit.cli.command import command
from edgekit.cli.section import option, section


def helped(made: click.Command) -> str:
    return made.get_help(click.Context(made, info_name="made"))


def test_options_stand_under_their_headings_in_order():
    @command("made")
    @section("Later", option("--b"))
    @click.option("--alone")
    @section("Earlier", option("--a"), option("--c", help="Third."))
    def made(terminal, **options):
        """Make it."""

    text = helped(made)
    places = [text.index(word) for word in ("Later:", "--b", "Earlier:", "--a", "--c", "Options:", "--alone", "--json", "--help")]
    assert places == sorted(places)


def test_one_heading_in_two_places_is_one_heading():
    @command("made")
    @section("Same", option("--a"))
    @click.option("--alone")
    @section("Same", option("--b"))
    def made(terminal, **options):
        """Make it."""

    assert helped(made).count("Same:") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_listed_once(name):
    made = app.get_command(click.Context(app), name)
    listed = re.findall(r"^  (?:-\w, )?(--[\w-]+)(?= [A-Z[]|  |$)", helped(made), re.MULTILINE)
    options = [param for param in made.params if isinstance(param, click.Option)]
    assert sorted(listed) == sorted(["--help", *(next(word for word in param.opts if word.startswith("--")) for param in options)])


def test_a_command_is_listed_with_its_first_sentence_whole():
    text = app.get_help(click.Context(app, info_name="edgekit", terminal_width=80))
    assert "..." not in text.split("Commands:")[1]
