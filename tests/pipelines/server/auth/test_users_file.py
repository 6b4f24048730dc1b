"""A file of users with damage in it is refused by name, whichever command reads it."""

import copy
import json
import random

import pytest

from kinemill.errors import BadInput
from kinemill_dagster.pipelines.server.auth.users import Users
from kinemill_dagster.pipelines.server.auth.users_file import read_users
from tests.pipelines.server.auth.test_middleware import PASSWORD


@pytest.fixture
def path(home, quick_hashes):
    users = Users(home)
    users.put("ada", "admin", PASSWORD)
    users.put("otto", "operator", PASSWORD)
    users.renew_token("otto")
    users.put_proxied("group:robots", "viewer")
    return home.root / "users.json"


def set_role(users, role):
    users["ada"]["role"] = role


DAMAGE = {
    "an unknown role": (lambda users: set_role(users, "vidwer"), "users.ada.role: is 'vidwer'"),
    "a role that is no text": (lambda users: set_role(users, 3), "users.ada.role: is '3'"),
    "no role": (lambda users: users["ada"].pop("role"), "users.ada.role: is missing"),
    "no password": (lambda users: users["ada"].pop("password"), "users.ada.password: is missing"),
    "no token": (lambda users: users["ada"].pop("token"), "users.ada.token: is missing"),
    "no salt": (lambda users: users["ada"]["password"].pop("salt"), "password.salt: is missing"),
    "a salt that is no hex": (
        lambda users: users["ada"]["password"].update(salt="g" * 32), "password.salt: is damaged",
    ),
    "half a hash": (
        lambda users: users["ada"]["password"].update(hash="ab"), "password.hash: is damaged",
    ),
    "a token of another length": (
        lambda users: users["otto"].update(token="ab"), "users.otto.token: is damaged",
    ),
    "a word too many": (lambda users: users["ada"].update(rolle="x"), "ada.rolle: is unknown"),
    "a user that is a list": (lambda users: users.update(ada=[]), "users.ada: is damaged"),
    "a name out of bounds": (lambda users: users.update({"a b": users.pop("ada")}), "'a b'"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_users_file_is_named_by_every_reader(path, home, name):
    damage, message = DAMAGE[name]
    document = json.loads(path.read_text())
    damage(document["users"])
    path.write_text(json.dumps(document))
    readers = [
        lambda users: users.rights(),
        bool,
        lambda users: users.version,
        lambda users: users.by_password("ada", PASSWORD),
        lambda users: users.by_token("x"),
        lambda users: users.by_proxy("ann", ["robots"]),
        lambda users: users.renew_token("otto"),
        lambda users: users.put("otto", "viewer", PASSWORD),
    ]
    for read in readers:
        with pytest.raises(BadInput) as error:
            read(Users(home))
        assert str(error.value).startswith(str(path))
        assert message in str(error.value)
    assert json.loads(path.read_text()) == document  # nothing was written over it


CONTENTS = {
    "nothing": b"",
    "half": b'{"format": 1, "users": {"ada": {"ro',
    "no UTF-8": b'{"format": 1, "users": {"\xff": 1}}',
    "a list": b"[]",
    "a text": b'"users"',
    "no users": b'{"format": 1}',
    "another format": b'{"format": 2, "users": {}}',
    "too deep": b"[" * 100_000,
    "a user twice": b'{"format": 1, "users": {"a": {}, "a": {}}}',
}


@pytest.mark.parametrize("name", CONTENTS)
def test_users_file_with_other_content_is_refused(path, home, name):
    path.write_bytes(CONTENTS[name])
    with pytest.raises(BadInput, match=r"users\.json"):
        Users(home).rights()


def test_folder_in_place_of_the_users_file_is_refused(path, home):
    path.unlink()
    path.mkdir()
    with pytest.raises(BadInput, match=r"users\.json"):
        Users(home).rights()


def test_flipped_byte_is_refused_or_leaves_known_roles(path):
    """A flip within a name, salt or hash can still be a valid file; the roles then are."""
    content, draw = path.read_bytes(), random.Random(0)
    for _ in range(400):
        flipped = bytearray(content)
        flipped[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(flipped)
        try:
            users = read_users(path)
        except BadInput:
            continue
        assert {user.role for user in users.values()} <= {"viewer", "operator", "admin"}


def test_message_about_the_users_file_has_no_secret(path):
    document = json.loads(path.read_text())
    damaged = copy.deepcopy(document)
    secret = document["users"]["ada"]["password"]["hash"]
    damaged["users"]["ada"]["password"]["hash"] = secret + "0"
    path.write_text(json.dumps(damaged))
    with pytest.raises(BadInput) as error:
        read_users(path)
    assert secret not in str(error.value)
