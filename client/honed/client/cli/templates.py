"""`hone templates`: how the columns of a table become a prompt and a reply."""
# ruff: noqa: PLC0415  - heavy imports wait for the command that needs them

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from honed.client.cli.options import AsJson
from honed.client.cli.output import note, print_table
from honed.client.cli.session import session
from honed.client.cli.values import moment, visible

if TYPE_CHECKING:
    from honed.v1.templates_pb2 import Template

app = typer.Typer(no_args_is_help=True, help="Keep the templates that turn columns into prompts and replies.")

Name = Annotated[str, typer.Argument(metavar="TEMPLATE", help="ID or templates/ID.")]


@app.command("ls")
def list_(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List the newest version of every template: the built-in ones first."""
    with session(ctx, as_json) as (client, out):
        out.listing(
            client.list_templates(),
            {
                "NAME": lambda template: template.name,
                "VERSION": lambda template: str(template.version),
                "OWNER": lambda template: template.owner,
                "TASK": lambda template: template.task,
                "SLOTS": lambda template: ", ".join(slot.name for slot in template.slots),
                "DESCRIPTION": lambda template: template.description,
            },
        )


@app.command("show")
def show(
    ctx: typer.Context,
    name: Name,
    version: Annotated[int, typer.Option(min=0, help="Which version; 0 is the newest.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Show one template.

    What --json prints, under another name, is a start for `hone templates add`.
    """
    with session(ctx, as_json) as (client, out):
        template = client.get_template(name, version)
        if out.as_json:
            out.record(template)
        else:
            _print_template(template)


@app.command("add")
def add(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, metavar="FILE", help="A template as JSON, its name among the fields."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Create a template, or the next version of one of yours."""
    template = _read_template(file)
    with session(ctx, as_json) as (client, out):
        created = client.create_template(template)
        if out.as_json:
            out.record(created)
        else:
            note(f"version {created.version}")
            print(created.name)


@app.command("rm")
def remove(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Delete a template with all its versions; data sets made with it keep theirs."""
    with session(ctx, as_json) as (client, _):
        client.delete_template(name)
        note(f"deleted {name}")


def _read_template(file: Path) -> Template:
    from google.protobuf.json_format import Parse, ParseError
    from honed.v1.templates_pb2 import Template

    try:
        return Parse(file.read_bytes(), Template())
    except (ParseError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} is not a template as JSON: {error}") from None


def _print_template(template: Template) -> None:
    """Its facts as a table, then its texts as they are, indented."""
    facts = [
        ["name", template.name],
        ["version", str(template.version)],
        ["owner", template.owner],
        ["created", moment(template.create_time)],
        ["digest", template.digest],
        ["task", template.task],
        ["description", template.description],
    ]
    for slot in template.slots:
        marks = [mark for mark, is_set in (("optional", slot.optional), ("many columns", slot.many)) if is_set]
        facts.append([f"slot {slot.name}", f"{slot.description} ({', '.join(marks)})" if marks else slot.description])
    for parameter in template.parameters:
        default = f" (default: {parameter.default_value})" if parameter.default_value else ""
        facts.append([f"parameter {parameter.name}", f"{parameter.description}{default}"])
    facts.extend([f"label {label}", words] for label, words in sorted(template.verbalizer.items()))
    print_table(facts)
    for part, text in (("system", template.system), ("user", template.user), ("reply", template.reply)):
        if text:
            print(f"\n{part}")
            for line in text.splitlines():
                print(f"  {visible(line)}")
