"""The words of tasks come from an admin's template, and what is typed into a CRM stays text in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from stagesync.sandbox.server import Sandbox

from .conftest import Deploy
from .deployment import Deployment
from .office import offices, tasks
from .test_run import bring_evidence, mendable, open_tasks, run, task_of

WORDS = """\
{% block subject %}Bitte prüfen: {{ record.name }}{% endblock %}
{% block body %}
<b>{{ record.name }}</b> & Co
{% for finding in findings %}
{% for item in finding.evidence %}
* {{ item.ask }}: {{ item.saw }} ({{ item.source }})
{% endfor %}
{% endfor %}
{% endblock %}
{% block closing %}
<i>Danke</i>
{% endblock %}
"""


def with_words(agent: Deployment, text: str = WORDS) -> Path:
    file = agent.folder / "task.j2"
    file.write_text(text, encoding="utf-8")
    agent.words["tasks"] = {"template": file.name}
    agent.save()
    return file


def test_reps_read_the_words_of_the_template(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox, enforce=False)
    with_words(agent)
    salesforce, hubspot = offices(sandbox)
    planned = run(agent, write=False)
    named = {}
    for office in (salesforce, hubspot):
        change = next(change for change in open_tasks(planned, office.name) if mendable(office, change))
        field = {"salesforce": "Name", "hubspot": "dealname"}[office.name]
        office.edit(change.object, change.record, **{field: "<script>alert(1)</script> & Söhne"})
        named[office.name] = change

    first = run(agent)

    assert first.exit_code == 0
    for name, change in named.items():
        task = task_of(sandbox, change)
        assert task.subject == "Bitte prüfen: <script>alert(1)</script> & Söhne"
        first_line = "<b><script>alert(1)</script> & Söhne</b> & Co"
        escaped = "&lt;b&gt;&lt;script&gt;alert(1)&lt;/script&gt; &amp; Söhne&lt;/b&gt; &amp; Co<br>"
        assert task.body.startswith(first_line + "\n" if name == "salesforce" else escaped)
        assert "If you disagree" not in task.body
    told = [task for made in tasks(sandbox).values() for task in made]
    assert all(task.subject.startswith("Bitte prüfen: ") for task in told)
    # What reps know of a field is its label, which only HubSpot's standard fields have in the sandbox.
    assert any("Next Step is" in task.body and "(deals.hs_next_step)" in task.body for task in told)
    assert not any("next_step is" in task.body or "pain is" in task.body for task in told)

    bring_evidence(salesforce, named["salesforce"])
    bring_evidence(hubspot, named["hubspot"])
    run(agent)
    assert task_of(sandbox, named["salesforce"]).body.endswith("\n\n<i>Danke</i>")
    assert task_of(sandbox, named["hubspot"]).body.endswith("<br><br>&lt;i&gt;Danke&lt;/i&gt;")


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_wrong_template_is_told_before_anything_is_asked_of_a_crm(
    sandbox: Sandbox, deploy: Deploy, command: str
) -> None:
    agent = deploy(sandbox)
    file = with_words(agent, "{% block body %}\nDear {{ recrod.name }},\n{% endblock %}\n")
    done = agent.run(command)
    assert done.code == 2
    assert f"{file}:2:9: nothing is called 'recrod' (did you mean 'record'?)" in done.err
    assert tasks(sandbox) == {}
    assert not agent.ledger_file.exists()
