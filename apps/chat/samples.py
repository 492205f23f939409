"""What people ask the sample service, what it answers, and what they say of it."""

from typing import Final

ANSWERS: Final = {
    "How do I reset my password?": "Open Settings, choose Security, then Reset password.",
    "Where is my invoice?": "Invoices are under Account, Billing; the newest comes first.",
    "Can I export my data?": "Yes: Settings, Privacy, Export. You get a ZIP by mail.",
    "Why was my card refused?": "Your bank asks for a confirmation; try again with your phone at hand.",
    "How do I add a colleague?": "Team, Invite, then their address. They get a link that lasts a week.",
    "What does the Pro plan cost?": "29 a month for each seat; a year is ten months' price.",
}
PRAISE: Final = ("Exactly what I needed", "Quick and clear", "Worked at once", "Danke, hat geholfen! 🎉")
BLAME: Final = ("That menu does not exist", "Too vague", "It did not answer my question", "古い情報です")


def answer_to(message: str) -> str:
    """Give the answer to a question."""
    return ANSWERS.get(message, "I do not know that yet; a colleague will write to you.")
