"""Verification of policies: the parts that are not shared with dynamics models.

`subject` implements `kinemill.verify.subject.Subject` for a policy: parity with torch over
consecutive steps, episodes in the environment, and errors of actions on held-out logs.
"""
