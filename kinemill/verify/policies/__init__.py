"""Verification of policies: the file against the trained policy, and in the task's environment.

From `policy.onnx`, the trained policy, the dataset's test split or the environment's card. Parity
with torch, over steps in a row with memory; NaN, limits, forbidden choices, observations out of
range; return and success of seeded episodes beside those of chance, and the same episodes by the
policy in torch; how far actions are off those of held-out logs; latency.

Symbols: N rows or episodes, T steps, D numbers observed, A actions.
"""
