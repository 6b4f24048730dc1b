"""The promotion gate: rules that a challenger has to pass to become champion.

Input: a verified challenger, the champion and their measurements on the test split. Output: one
`Verdict` for each line, and a `Conclusion`: champion, waiting for approval, or refused.

    inputs = make_gate_inputs(initial, folder, current, make_measurements(task, home, dataset))
    verdicts = evaluate(inputs)
    conclusion = conclude(inputs, verdicts)

The statistics are in `kinemill.verify.significance` and `kinemill.verify.losses`, because reports
of verifications show them as well.
"""
