"""Selection of a model: the portfolio of model families, and the search for hyperparameters."""
