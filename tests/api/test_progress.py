from kinemill.api.progress import NotebookDisplay, Update, in_notebook, reporter


def test_a_callback_receives_every_report():
    updates = list[Update]()
    report = reporter(updates.append)
    report.log_message("waiting")
    report.advance("train", 1, 2, "loss 0.1")
    report.log_metrics({"train/loss": 0.1}, 5)
    assert updates == [
        Update(message="waiting"),
        Update("train", 1, 2, "loss 0.1"),
        Update(metrics={"train/loss": 0.1}, step=5),
    ]


def test_reports_go_to_stderr_without_a_notebook(capsys):
    assert not in_notebook()
    reporter(True).log_message("waiting")
    reporter(False).log_message("silent")
    assert capsys.readouterr().err == "waiting\n"


def test_a_display_has_a_bar_and_curves(monkeypatch):
    display = NotebookDisplay()
    monkeypatch.setattr(display, "_draw", lambda: None)
    display.show(Update("train", 5, 20, "<loss>"))
    display.show(Update(metrics={"train/loss": 1.0}, step=1))
    display.show(Update(metrics={"train/loss": 0.5}, step=2))
    html = display.html()
    assert '<progress value="5" max="20"' in html
    assert "&lt;loss&gt;" in html
    assert "data:image/png;base64," in html
