"""What only shows between recordings: the same run once more, and a log in units of its own."""

NEAR_DUPLICATES, FOREIGN_UNITS = "near_duplicates", "foreign_units"
FOREIGN_ACTIONS = "foreign_actions"
CHECKS = {
    NEAR_DUPLICATES: "no two recordings are the same run once more",
    FOREIGN_UNITS: "no recording moves so much more than the others that its units are in doubt",
    FOREIGN_ACTIONS: "no recording answers its actions as if one were flipped, or two exchanged",
}
