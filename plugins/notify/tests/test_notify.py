"""Users are told how runs end; whatever fails on the way is one warning, and secrets stay secret."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mml_notify.health import check
from mml_notify.secrets import NotifyError, Secret, scrub
from mml_notify.settings import settings_from

from mml_core.plugins import PluginManager

pytest_plugins = ["mml_core.testing.fixtures"]

SPEC = importlib.util.spec_from_file_location("notify_servers", Path(__file__).with_name("servers.py"))
assert SPEC is not None and SPEC.loader is not None
servers = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = servers  # dataclasses look their module up
SPEC.loader.exec_module(servers)

SECRET = "T000-B000-s3cret"
PLUGIN = """
from mml_core.plugins import SchedulerSpec, hookimpl

MML_PLUGIN_API = 1

@hookimpl
def mml_schedulers():
    yield SchedulerSpec(name="count", target="mml_count.scheduler:Count")
"""
SCHEDULER = """
import os
import signal
from mml_core.api import AbstractBaseScheduler

class Count(AbstractBaseScheduler):
    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=[])

    def create_routine(self):
        self.add_step("begin")
        self.add_step("count")

    def begin(self):
        return 1

    def count(self):
        if os.environ.get("HOW") == "fails":
            raise ValueError("a < b & c")
        if os.environ.get("HOW") == "stops":
            os.kill(os.getpid(), signal.SIGTERM)
        self.return_value = {"digits": {"accuracy": 0.987654}, "done": True}
"""


@pytest.fixture
def count(inline_plugin, mml_project, mml, monkeypatch):
    """Run a mode whose step counts, fails or stops, with no settings but those of the test."""
    for name in [name for name in os.environ if name.startswith("MML_NOTIFY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(mml_project.root))
    monkeypatch.setenv("no_proxy", "*")
    inline_plugin("count", PLUGIN, {"scheduler.py": SCHEDULER})

    def run(how="works"):
        monkeypatch.setenv("HOW", how)
        return mml("run", "--mode=count")

    return run


@pytest.fixture
def certificate(tmp_path, monkeypatch):
    """A certificate of this machine that Python trusts, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, which makes a certificate")
    path = tmp_path / "server.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(path), "-out", str(tmp_path / "c.pem")),
        ],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + (tmp_path / "c.pem").read_text())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "c.pem"))
    return path


def slack(monkeypatch, port, path=f"/services/{SECRET}"):
    monkeypatch.setenv("MML_NOTIFY_SLACK_URL", f"http://127.0.0.1:{port}{path}")


def everything(mml_project, *results):
    """All that is shown or stored of a run."""
    files = [
        path.read_bytes().decode(errors="replace")
        for path in mml_project.results.rglob("*")
        if path.is_file()
    ]
    return "\n".join([*files, *(text for result in results for text in (result.out, result.err))])


@pytest.mark.parametrize(
    ("how", "title", "says"),
    [
        ("works", "mml: count of project default is done after 0 s", "digits/accuracy: 0.9877"),
        ("fails", "mml: count of project default has failed after 0 s", "ValueError: a &lt; b &amp; c"),
        ("stops", "mml: count of project default was interrupted after 0 s", "Continue by: mml run"),
    ],
)
def test_slack_is_told_how_a_run_ended(count, mml_project, monkeypatch, how, title, says) -> None:
    with servers.webhook() as server:
        slack(monkeypatch, server.port)
        result = count(how)
    (text,) = server.texts
    assert text.splitlines()[0] == title
    assert says in text
    assert f"run {mml_project.runs()[0].name} on " in text
    assert result.code == {"works": 0, "fails": 1, "stops": 143}[how]
    assert SECRET not in everything(mml_project, result)


def test_events_choose_what_is_told_and_short_runs_may_be_left_out(count, monkeypatch) -> None:
    with servers.webhook() as server:
        slack(monkeypatch, server.port)
        monkeypatch.setenv("MML_NOTIFY_EVENTS", "started, failed")
        assert count().code == 0
        monkeypatch.setenv("MML_NOTIFY_EVENTS", "done")
        monkeypatch.setenv("MML_NOTIFY_AFTER_SECONDS", "600")
        assert count().code == 0
    assert [text.splitlines()[0] for text in server.texts] == ["mml: count of project default begins"]


def test_a_webhook_that_refuses_costs_one_warning_without_its_address(
    count, mml_project, monkeypatch
) -> None:
    with servers.webhook(status=404) as server:
        slack(monkeypatch, server.port)
        result = count()
    assert result.code == 0
    assert result.err.count("could not be sent") == 1
    assert "slack: HTTPError: HTTP Error 404: no such path ***" in result.err
    assert SECRET not in everything(mml_project, result)


def test_a_webhook_that_never_answers_is_given_up(count, monkeypatch) -> None:
    monkeypatch.setenv("MML_NOTIFY_TIMEOUT", "0.2")
    with servers.webhook(answers=False) as server:
        slack(monkeypatch, server.port)
        result = count()
        assert "slack: it did not end within 0.2 s" in result.err


def test_no_result_depends_on_the_plugin() -> None:
    info = PluginManager.discover().plugins["mml-plugin-notify"]
    assert (info.status.value, info.changing_hooks) == ("active", ())


def test_a_run_goes_on_with_the_plugin_that_was_begun_without_it(count, mml, monkeypatch) -> None:
    with servers.webhook() as server:
        slack(monkeypatch, server.port)
        monkeypatch.setenv("HOW", "fails")
        assert mml("run", "--mode=count", "--without-plugin=notify").code == 1
        monkeypatch.setenv("HOW", "works")
        result = mml("run", "--continue")
    assert (result.code, result.err) == (0, "")
    assert [text.splitlines()[0] for text in server.texts] == [
        "mml: count of project default is done after 0 s"
    ]


def test_a_run_of_several_steps_that_is_stopped_and_goes_on_is_told_of_at_each_end(
    count, mml, monkeypatch
) -> None:
    with servers.webhook() as server:
        slack(monkeypatch, server.port)
        assert count("stops").code == 143
        monkeypatch.setenv("HOW", "works")
        assert mml("run", "--continue").code == 0
    ends = [text.splitlines()[0].split("project default ")[1] for text in server.texts]
    assert ends == ["was interrupted after 0 s", "is done after 0 s"]


def test_a_server_that_sends_byte_by_byte_is_given_up_as_well(count, monkeypatch) -> None:
    monkeypatch.setenv("MML_NOTIFY_TIMEOUT", "0.2")
    with servers.webhook(drips=True) as server:
        slack(monkeypatch, server.port)
        assert "slack: it did not end within 0.2 s" in count().err


def smtp(monkeypatch, port, **more):
    given = {"host": "localhost", "port": port, "sender": "mml@example.org", "recipients": "a@b.org, c@d.org"}
    for name, value in {**given, **more}.items():
        monkeypatch.setenv(f"MML_NOTIFY_SMTP_{name.upper()}", str(value))


def test_mail_is_sent_encrypted_to_who_has_logged_in(count, mml_project, monkeypatch, certificate) -> None:
    with servers.mail_server(certificate, password=SECRET) as server:
        file = mml_project.root / "password"
        file.write_text(f"{SECRET}\n")
        smtp(monkeypatch, server.port, user="me", password_file=file)
        result = count()
    (mail,) = server.mails
    assert (mail["From"], mail["To"]) == ("mml@example.org", "a@b.org, c@d.org")
    assert mail["Subject"].startswith("mml: count of project default is done")
    assert "digits/accuracy: 0.9877" in mail.get_payload(decode=True).decode()
    assert (server.logins, server.secured) == (["me"], [True])
    assert (result.code, result.err) == (0, "")
    assert SECRET not in everything(mml_project, result)


def test_a_password_that_the_server_repeats_is_not_shown(
    count, mml_project, monkeypatch, certificate
) -> None:
    with servers.mail_server(certificate, password="another") as server:
        smtp(monkeypatch, server.port, user="me", password=SECRET)
        result = count()
    assert result.code == 0
    assert "SMTPAuthenticationError: (535, b'wrong password ***')" in result.err
    assert SECRET not in everything(mml_project, result)


def test_a_server_without_encryption_is_told_nothing_unless_that_is_allowed(count, monkeypatch) -> None:
    with servers.mail_server() as server:
        smtp(monkeypatch, server.port)
        assert "STARTTLS extension not supported by server" in count().err
        assert not server.mails
        monkeypatch.setenv("MML_NOTIFY_SMTP_SECURITY", "none")
        assert count().err == ""
    assert len(server.mails) == 1


TELL = """
import json, os, sys
names = {name: value for name, value in os.environ.items() if "NOTIFY" in name or "HOOK" in name}
open(sys.argv[1], "w").write(json.dumps([sys.argv[2], sys.stdin.read(), names]))
"""


def test_a_command_is_told_on_standard_input_and_by_variables_without_a_shell(
    count, mml_project, monkeypatch
) -> None:
    out = mml_project.root / "told.json"
    settings = mml_project.root / "notify.yaml"
    arguments = [sys.executable, "-c", TELL, str(out), "$HOME; `id`"]
    with servers.webhook() as server:
        monkeypatch.setenv("TEAM_HOOK", f"http://127.0.0.1:{server.port}/services/{SECRET}")
        settings.write_text(
            json.dumps({"command": {"arguments": arguments}, "slack": {"url_env": "TEAM_HOOK"}})
        )
        monkeypatch.setenv("MML_NOTIFY_CONFIG", str(settings))
        assert count("fails").code == 1
    argument, text, names = json.loads(out.read_text())
    assert argument == "$HOME; `id`"
    assert text.startswith("mml: count of project default has failed")
    run = mml_project.runs()[0]
    assert (names["MML_NOTIFY_EVENT"], names["MML_NOTIFY_RUN"]) == ("failed", run.name)
    assert names["MML_NOTIFY_DIR"] == str(run)
    assert "a < b & c" in names["MML_NOTIFY_ERROR"]
    assert "TEAM_HOOK" not in names
    assert len(server.texts) == 1


def test_a_command_that_fails_or_hangs_costs_one_warning(count, monkeypatch) -> None:
    monkeypatch.setenv("MML_NOTIFY_COMMAND", json.dumps([sys.executable, "-c", "raise SystemExit(3)"]))
    assert "it ended with exit code 3" in count().err
    monkeypatch.setenv("MML_NOTIFY_COMMAND", json.dumps(["/nowhere/tell", SECRET]))
    result = count()
    assert "command /nowhere/tell: FileNotFoundError" in result.err
    monkeypatch.setenv("MML_NOTIFY_TIMEOUT", "0.2")
    hangs = [sys.executable, "-c", "import threading; threading.Event().wait()", SECRET]
    monkeypatch.setenv("MML_NOTIFY_COMMAND", json.dumps(hangs))
    result = count()
    assert (result.code, "it did not end within 0.2 s" in result.err) == (0, True)
    assert SECRET not in result.err


def test_settings_stand_in_mml_env_files_too(count, mml_project, mml) -> None:
    with servers.webhook() as server:
        (mml_project.root / "url").write_text(f"http://localhost:{server.port}/{SECRET}")
        Path("mml.env").write_text("MML_NOTIFY_SLACK_URL_FILE=../url\n")
        assert count().code == 0
        tried = mml("notify", "test", "--event=failed")
    assert (tried.code, tried.out) == (0, "slack: sent\n")
    assert [text.splitlines()[0] for text in server.texts] == [
        "mml: count of project default is done after 0 s",
        "mml: trial of project trial has failed after 0 s",
    ]


def test_settings_that_cannot_work_are_told_when_the_run_begins_and_by_the_command(
    count, mml_project, mml, monkeypatch
) -> None:
    monkeypatch.setenv("MML_NOTIFY_SLACK_URL", f"hooks.slack.com/services/{SECRET}")
    result = count()
    assert result.code == 0
    assert result.err.count("Nobody will be told how this run ends") == 1
    tried = mml("notify", "test")
    assert tried.code == 2
    assert "MML_NOTIFY_SLACK_URL does not begin with https:// and a host." in tried.err
    health = check()
    assert (health.ok, "does not begin with https://" in health.message) == (False, True)
    assert SECRET not in everything(mml_project, result, tried) + health.message


def test_nothing_is_sent_unless_it_is_set_up(count, mml) -> None:
    assert count().err == ""
    tried = mml("notify", "test")
    assert (tried.code, tried.err[:28]) == (2, "mml: Nothing is set up: set ")


def test_a_line_of_an_mml_env_file_that_cannot_be_read_is_not_quoted(count, monkeypatch) -> None:
    Path("mml.env").write_text(f"MML_NOTIFY_SMTP_PASSWORD {SECRET}\n")
    assert SECRET not in count().err


SMTP = {"host": "h", "sender": "a@b.org", "recipients": ["a@b.org"]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"slak": {}}, "Unknown setting 'slak'. Did you mean 'slack'?"),
        ({"smtp": {**SMTP, "hots": "x"}}, "Unknown setting 'smtp.hots'. Did you mean 'host'"),
        ({"slack": {"url": SECRET}}, "write url_env with the name of an environment variable, or url_file."),
        ({"smtp": {**SMTP, "password": SECRET}}, "'smtp.password' is a secret"),
        ({"slack": {"url_env": "NOT_SET"}}, "is empty or not set: variable NOT_SET."),
        ({"slack": {"url_file": "/nowhere"}}, "cannot be read from '/nowhere': No such file or directory."),
        ({"slack": {}}, "slack needs url_env or url_file."),
        ({"slack": {"url_env": "PLAIN"}}, "does not begin with https:// and a host."),
        ({"smtp": {**SMTP, "user": "me"}}, "smtp needs password_env or password_file to log in"),
        ({"smtp": {**SMTP, "password_env": "PLAIN"}}, "smtp needs a user to log in"),
        (
            {"smtp": {**SMTP, "user": "me", "password_env": "PLAIN", "security": "none"}},
            "would send the password unencrypted",
        ),
        ({"smtp": {**SMTP, "security": "tls"}}, "smtp.security is 'tls'; write one of starttls, ssl, none."),
        ({"smtp": {**SMTP, "port": "x"}}, "smtp.port is 'x'; write a number from 1 to 65535."),
        ({"smtp": {**SMTP, "sender": "me\nBcc: x@y.org"}}, "smtp.sender must be given as mail addresses"),
        ({"smtp": {"sender": "a@b.org"}}, "smtp.host is missing"),
        ({"command": {"arguments": "mail me"}}, "must be a list: a program and its arguments"),
        ({"events": ["ended"]}, "There is no event 'ended'."),
        ({"events": "done"}, "events is 'done'; write a list of started, done, failed, interrupted."),
        ({"timeout": 0}, "timeout is 0; write a number of seconds from 0.1."),
    ],
)
def test_a_setting_that_cannot_be_is_named(given, message) -> None:
    with pytest.raises(NotifyError) as caught:
        settings_from(given, {"PLAIN": f"http://example.org/{SECRET}"})
    assert message in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.long  # two processes
def test_a_run_that_is_killed_while_a_message_is_on_its_way_leaves_no_secret(
    count, mml_process, mml, mml_project
) -> None:
    with servers.webhook(answers=False) as server:
        url = f"http://127.0.0.1:{server.port}/services/{SECRET}"
        command = json.dumps(
            [sys.executable, "-c", "import os, signal; os.kill(os.getppid(), signal.SIGKILL)"]
        )
        settings = {"MML_NOTIFY_SLACK_URL": url, "MML_NOTIFY_COMMAND": command}
        killed = mml_process("run", "--mode=count", env=settings)
    assert killed.code == -9
    assert mml("run", "--continue").code == 0
    assert SECRET not in everything(mml_project, killed)


def test_a_secret_shows_itself_to_nobody() -> None:
    secret = Secret("variable X", f"https://example.org/a/{SECRET}?k=v")
    assert SECRET not in repr(secret)
    assert scrub(f"bad path /a/{SECRET}\nof {secret.reveal()}", [secret]) == "bad path *** of ***"
