"""Layout of the pages: the same navigation everywhere, and no words of the command line."""

import pytest

from kinemill_dagster.pipelines.server.web_console.layout import without_commands


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (
            "models:/web/3: the gate refused it: beats; expected a version that passed the gate; "
            "kinemill model why web:3; --force --why REASON overrides it",
            "models:/web/3: the gate refused it: beats; expected a version that passed the gate",
        ),
        ("web:3 waits for approval: kinemill model approve web:3.", "web:3 waits for approval"),
        ("--set learn.batch_size: Input should be > 0", "learn.batch_size: Input should be > 0"),
        ("'swign': unknown; did you mean 'swing'?", "'swign': unknown; did you mean 'swing'?"),
        ("kinemill is not installed", "kinemill is not installed"),
    ],
)  # fmt: skip
def test_message_on_a_page_has_no_command(text, plain):
    assert without_commands(text) == plain


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/kinemill/tasks", 200),
        ("/kinemill/tasks/tiny", 200),
        ("/kinemill/tasks/tiny/1", 200),
        ("/kinemill/tasks/nobody", 404),
        ("/kinemill/console/new", 200),
        ("/kinemill/console/compare/tiny", 200),
        ("/kinemill/console/versions/tiny/1", 200),
        ("/kinemill/console/versions/tiny/7", 404),
        ("/kinemill/console/recordings/tiny", 200),
        ("/kinemill/console/quarantine/tiny", 200),
    ],
)
def test_each_page_has_the_navigation(client, path, status):
    response = client.get(path)
    assert response.status_code == status
    assert response.text.count('<nav class="site" aria-label="Site">') == 1
    assert ("<div><b>tiny</b>" in response.text) == ("tiny" in path and status == 200)
