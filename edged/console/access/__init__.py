"""Who may see and change what: claim code, passwords, sessions, tokens, and throttling of wrong ones."""

from edged.console.access.gate import Access, Visitor
from edged.console.access.state import Role

__all__ = ["Access", "Role", "Visitor"]
