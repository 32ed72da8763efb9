"""What a sign at the door says to whoever stands there, in each language: one table, one definition."""

from typing import Final

from edged.types import MASK_WORDS

SIGNS: Final = {
    "en": {
        "language": "English",
        "correct": "Thank you",
        "incorrect": "Cover mouth and nose",
        "none": "Please put on a mask",
        "uncertain": "Please look at the camera",
        "nobody": "Masks are worn here",
        "blind": "This sign cannot see at the moment",
        "blind_help": "Please follow the rule of the house.",
        "several": "% people here",
    },
    "de": {
        "language": "Deutsch",
        "correct": "Danke",
        "incorrect": "Mund und Nase bedecken",
        "none": "Bitte Maske aufsetzen",
        "uncertain": "Bitte in die Kamera schauen",
        "nobody": "Hier wird Maske getragen",
        "blind": "Diese Anzeige sieht gerade nichts",
        "blind_help": "Bitte die Hausregel beachten.",
        "several": "% Personen hier",
    },
    "es": {
        "language": "Español",
        "correct": "Gracias",
        "incorrect": "Cubra boca y nariz",
        "none": "Póngase la mascarilla",
        "uncertain": "Mire a la cámara, por favor",
        "nobody": "Aquí se lleva mascarilla",
        "blind": "Este cartel no ve nada ahora",
        "blind_help": "Siga la norma de la casa, por favor.",
        "several": "% personas aquí",
    },
    "fr": {
        "language": "Français",
        "correct": "Merci",
        "incorrect": "Couvrez bouche et nez",
        "none": "Mettez un masque",
        "uncertain": "Regardez la caméra",
        "nobody": "Ici, on porte un masque",
        "blind": "Ce panneau ne voit rien pour l’instant",
        "blind_help": "Merci de suivre la règle de la maison.",
        "several": "% personnes ici",
    },
}
"""By language, then by the state of the person who stands there. `%` is a number."""

ICONS: Final = {"correct": "✓", "incorrect": "!", "none": "✗", "uncertain": "?", "nobody": "•", "blind": "—"}
ORDER: Final = ("none", "incorrect", "uncertain", "correct")
"""Of several people, the first of these states that somebody has is what the sign says."""

assert set(MASK_WORDS) == set(ORDER)  # noqa: S101  a state without a sign would leave somebody without an answer


def sign_of(states: list[str]) -> str:
    """What the sign says to people with these states."""
    return next((state for state in ORDER if state in states), "nobody")
