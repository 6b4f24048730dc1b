"""Custom expectation of Great Expectations: a physical check has no finding in a recording.

`import kinemill.validate.physical_expectation` makes it known to Great Expectations, for suites
that are loaded outside of kinemill.
"""

from great_expectations.expectations.core.expect_column_values_to_be_between import (
    ExpectColumnValuesToBeBetween,
)


class ExpectNoFindings(ExpectColumnValuesToBeBetween):
    """Expect that no recording has a finding of the physical check `column`."""

    min_value: float = 0.0
    max_value: float = 0.0
