"""``stagesync init``, ``check``, ``test`` and ``schema``: settings, definitions and mappings."""

from __future__ import annotations

from pathlib import Path

import click

from stagesync.cli import options
from stagesync.cli.options import DEFAULT_CONFIG, Crm, Format


@click.command()
@click.option("--crm", type=click.Choice(Crm, case_sensitive=False), required=True, help="Which kind of CRM it is.")
@click.option("--connection", metavar="NAME", help="A name for the connection; that of the CRM if left out.")
@click.option(
    "--login-url", metavar="URL", help="Salesforce: the org's My Domain, such as https://acme.my.salesforce.com."
)
@click.option(
    "--client-id-env",
    metavar="VARIABLE",
    help="The environment variable with the client id. [default: SALESFORCE_CLIENT_ID]",
)
@click.option(
    "--client-secret-env",
    metavar="VARIABLE",
    help="The environment variable with the client secret. [default: SALESFORCE_CLIENT_SECRET]",
)
@click.option("--username", metavar="NAME", help="Salesforce, with --private-key: the user that StageSync works as.")
@click.option(
    "--private-key",
    type=options.PATH,
    metavar="FILE",
    help="Salesforce: log in with this RSA key (PEM), and not with a client secret.",
)
@click.option(
    "--token-env",
    metavar="VARIABLE",
    help="HubSpot: the environment variable with the token. [default: HUBSPOT_TOKEN]",
)
@click.option(
    "--refresh-token-env",
    metavar="VARIABLE",
    help="HubSpot: log in as an OAuth app, and not with a token: the environment variable with its refresh token. "
    "Client id and secret are then in HUBSPOT_CLIENT_ID and HUBSPOT_CLIENT_SECRET.",
)
@click.option("--base-url", metavar="URL", help="HubSpot: where its API is, unless it is HubSpot's own.")
@click.option(
    "--definitions", metavar="PACK", default="recommended", help="Which of the shipped definitions to start from."
)
@click.option(
    "--out",
    "-o",
    type=options.PATH,
    metavar="FOLDER",
    default=DEFAULT_CONFIG.parent,
    help="The folder to write into.",
)
def init(
    *,
    crm: Crm,
    connection: str | None,
    login_url: str | None,
    client_id_env: str | None,
    client_secret_env: str | None,
    username: str | None,
    private_key: Path | None,
    token_env: str | None,
    refresh_token_env: str | None,
    base_url: str | None,
    definitions: str,
    out: Path,
) -> int:
    """Write a starter configuration from what an org has: its stages, record types and fields. Only reads the org.

    Secrets are never given here: the options name environment variables. No file is overwritten.
    """
    from stagesync.cli import init as command
    from stagesync.cli.connecting import Given, connection_words

    given = Given(
        login_url=login_url,
        client_id_env=client_id_env,
        client_secret_env=client_secret_env,
        username=username,
        private_key=private_key,
        token_env=token_env,
        refresh_token_env=refresh_token_env,
        base_url=base_url,
    )
    name = connection or str(crm)
    words = connection_words(crm, name, given)
    return command.init(words, name=name, definitions=definitions, out=out)


@click.command()
@options.config
@click.option("--online", is_flag=True, help="Ask the CRMs too, with calls that only read: fields, rights, stages.")
@options.output
@click.pass_context
def check(context: click.Context, *, config: Path, online: bool, output: Format) -> int:
    """Check settings, definitions and mappings; report every problem at once, with file, line and column.

    With --online it exits with 2 when a connection has a problem, with 5 when a CRM cannot be reached.
    """
    if online:
        from stagesync.cli import check_online, logs

        logs.configure(verbose=bool(context.parent and context.parent.params["verbose"]))
        return check_online.check_online(config, output)
    from stagesync.cli import check as command

    return command.check(config)


@click.command()
@click.argument(
    "paths",
    type=options.PATH,
    metavar="[FILE|FOLDER]...",
    nargs=-1,
    help="Definitions, their tests, or folders of them; those of the settings if left out.",
)
@options.config
@options.output
def test(*, paths: tuple[Path, ...], config: Path, output: Format) -> int:
    """Run the tests beside the definitions: given evidence, expected stage, verdicts and findings.

    Exits with 2 when a test fails: definitions that do not say what they should are wrong.
    """
    from stagesync.cli import definition_tests as command

    settings = config if config.exists() or config != DEFAULT_CONFIG else None
    return command.test(paths, settings, output)


@click.command()
@click.argument(
    "kind",
    required=False,
    help="definition, fragment, tests, mapping, settings, report or plan; each into a folder with --out.",
)
@click.option("--out", "-o", type=options.PATH, metavar="FOLDER", help="Write them into this folder.")
def schema(*, kind: str | None, out: Path | None) -> int:
    """Print the JSON Schema of the files that people write, for their editors, or of a report or a plan."""
    from stagesync.cli import schema as command

    return command.schema(kind, out)
