"""Views of a registration for assertions."""


def facts(registration):
    return registration.version, registration.alias, registration.status


def found_by(registration, rule):
    (line,) = [item for item in registration.gate if item.rule == rule]
    return line.value


def gate_of(registration):
    return {item.rule: item.passed for item in registration.gate}
