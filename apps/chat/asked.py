"""What is asked of the chat."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One message, and who asks."""

    message: str
    client_request_id: str
    session_id: str
    user_id: str
    is_signed_in: bool

    @property
    def ids(self) -> dict[str, str]:
        """Give the ids that are echoed."""
        return {
            "client_request_id": self.client_request_id,
            "session_id": self.session_id,
            "user_id": self.user_id,
        }

    @property
    def person(self) -> str | None:
        """Give who is signed in; one whom we have made up is nobody who could give feedback again."""
        return self.user_id if self.is_signed_in else None
