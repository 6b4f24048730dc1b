"""Verification of policies: the parts that dynamics models do not have.

`subject` implements `kinemill.verify.subject.Subject` for a policy: parity with torch over
consecutive steps, episodes in the environment, errors of actions on held-out logs.
"""
