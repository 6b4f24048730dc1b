"""Portfolio: the model family for a task without `learn.model`, chosen within a time budget.

`race.train_portfolio` fits quick families in closed form, trains the others by successive halving
(Jamieson and Talwalkar, 2016), and trains the best to the end. Families are compared by their
rollouts over the validation split alone; the test split is never read.
"""
