"""Who asks a cluster's API server, and what they may do: bearer tokens, service accounts, Roles and their bindings."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.clusters.objects import Resource, Site

OPERATOR_TOKEN = "secret"  # noqa: S105 - of a test's administrator
MASTERS = "system:masters"  # the group that may do everything


@dataclass(frozen=True)
class User:
    """Who a request is from."""

    name: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """What is asked for: a verb, and of what.

    Attributes:
        verb: of the API: get, list, create, update, patch, delete.
        resource: the kind of object.
        subresource: `log`, `status`, `scale`; "" for the object itself.
        namespace: "" for a kind that has none, or for all of them.
        name: "" for a list and a creation.
    """

    verb: str
    resource: Resource
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def spelled(self) -> str:
        """As a Role names it: `pods/log`."""
        return "/".join(filter(None, (self.resource.plural, self.subresource)))


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
OPERATOR = User("kubernetes-admin", (MASTERS, "system:authenticated"))


@dataclass
class Access:
    """The tokens that a server knows, and the rights of their users by the cluster's own objects."""

    site: Site
    now: Callable[[], float]
    _users: dict[str, tuple[User, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._users[OPERATOR_TOKEN] = (OPERATOR, float("inf"))

    def admit(self, token: str, user: User, *, lasts_s: float = float("inf")) -> None:
        """Takes a token for a user from now on."""
        self._users[token] = (user, self.now() + lasts_s)

    def issue(self, namespace: str, account: str, *, lasts_s: float = 3600.0) -> str:
        """A new token of a service account, as a kubelet asks for one for its pods."""
        token = f"{namespace}.{account}.{secrets.token_hex(16)}"
        self.admit(token, service_account(namespace, account), lasts_s=lasts_s)
        return token

    def user_of(self, authorization: str | None) -> User | None:
        """The user of a request by its header; None for a token that is not, or no more, valid."""
        if not authorization:
            return ANONYMOUS
        user, expires_at = self._users.get(authorization.partition(" ")[2], (None, 0.0))
        if user is None or self.now() >= expires_at:
            return None
        parts = user.name.split(":")
        if parts[:2] == ["system", "serviceaccount"] and not self.site.objects.get("serviceaccounts", *parts[2:]):
            return None  # its tokens go with it
        return user

    def allows(self, user: User, requested: Request) -> bool:
        """Whether a binding of the user has a rule for this."""
        if (requested.verb, requested.spelled) in self.site.denied:
            return False
        return MASTERS in user.groups or any(
            _covers(rule, requested) for rule in self._rules(user, requested.namespace)
        )

    def _rules(self, user: User, namespace: str) -> Iterator[dict[str, Any]]:
        """The rules of all roles that are bound to the user here."""
        bindings = [(binding, "") for binding in self.site.objects.list("clusterrolebindings")]
        if namespace:
            bindings += [(binding, namespace) for binding in self.site.objects.list("rolebindings", namespace)]
        for binding, where in bindings:
            if any(_is_subject(one, user, binding) for one in binding.get("subjects", [])):
                of = binding["roleRef"]
                is_role = of["kind"] == "Role"
                role = self.site.objects.get(
                    "roles" if is_role else "clusterroles", where if is_role else "", of["name"]
                )
                yield from (role or {}).get("rules", [])


def service_account(namespace: str, name: str) -> User:
    """The user that a service account is."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(f"system:serviceaccount:{namespace}:{name}", groups)


def refusal(user: User, requested: Request) -> str:
    """The words in which the API server forbids something."""
    resource = requested.resource
    what = resource.words + (f' "{requested.name}"' if requested.name else "")
    place = f'in the namespace "{requested.namespace}"' if requested.namespace else "at the cluster scope"
    return (
        f'{what} is forbidden: User "{user.name}" cannot {requested.verb} resource "{requested.spelled}" '
        f'in API group "{resource.group}" {place}'
    )


def _is_subject(subject: dict[str, Any], user: User, binding: dict[str, Any]) -> bool:
    if subject["kind"] == "ServiceAccount":
        namespace = subject.get("namespace") or binding["metadata"].get("namespace", "")
        return user.name == f"system:serviceaccount:{namespace}:{subject['name']}"
    return subject["name"] in (user.groups if subject["kind"] == "Group" else (user.name,))


def _covers(rule: dict[str, Any], requested: Request) -> bool:
    """Whether a rule of a role is about this; a rule with names is about no list and no creation."""

    def has(what: str, value: str) -> bool:
        return bool({value, "*"}.intersection(rule.get(what, [])))

    names = rule.get("resourceNames") or []
    return (
        has("verbs", requested.verb)
        and has("apiGroups", requested.resource.group)
        and has("resources", requested.spelled)
        and (not names or requested.name in names)
    )
