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
        "paused": "Nobody is watched now",
        "paused_by": "Paused by {who} until {until}.",
        "paused_only": "Paused.",
        "stalled": "The camera gives no new picture.",
        "reconnecting": "The camera is being opened.",
        "offline": "The camera cannot be opened.",
        "dead": "The device does not answer.",
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
        "paused": "Hier wird gerade nicht hingesehen",
        "paused_by": "Pausiert von {who} bis {until}.",
        "paused_only": "Pausiert.",
        "stalled": "Die Kamera liefert kein neues Bild.",
        "reconnecting": "Die Kamera wird geöffnet.",
        "offline": "Die Kamera lässt sich nicht öffnen.",
        "dead": "Das Gerät antwortet nicht.",
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
        "paused": "Ahora no se mira a nadie",
        "paused_by": "En pausa por {who} hasta las {until}.",
        "paused_only": "En pausa.",
        "stalled": "La cámara no da ninguna imagen nueva.",
        "reconnecting": "La cámara se está abriendo.",
        "offline": "La cámara no se puede abrir.",
        "dead": "El aparato no responde.",
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
        "paused": "Personne n’est observé",
        "paused_by": "En pause par {who} jusqu’à {until}.",
        "paused_only": "En pause.",
        "stalled": "La caméra ne donne plus de nouvelle image.",
        "reconnecting": "La caméra est en cours d’ouverture.",
        "offline": "La caméra ne s’ouvre pas.",
        "dead": "L’appareil ne répond pas.",
        "several": "% personnes ici",
    },
}
"""By language, then by the state of the person who stands there, or of the camera where nobody can be seen. `%` is a number."""

MASK_ICONS: Final = {"correct": "✓", "incorrect": "!", "none": "✗", "uncertain": "?"}
ICONS: Final = {**MASK_ICONS, "nobody": "•", "blind": "—", "paused": "‖"}
ORDER: Final = ("none", "incorrect", "uncertain", "correct")
"""Of several people, the first of these states that somebody has is what the sign says."""

assert set(MASK_WORDS) == set(ORDER)  # noqa: S101  a state without a sign would leave somebody without an answer


def sign_of(states: list[str]) -> str:
    """What the sign says to people with these states."""
    return next((state for state in ORDER if state in states), "nobody")


def unseeing(language: str, camera_state: str | None, who: str = "", until: str = "") -> tuple[str, str]:
    """The sign, and the line below it, where nobody is seen. `camera_state`: the camera's, None where the device does not answer;
    of a pause `who` asked for it, and `until` when. Nothing of where cameras are: strangers read this.
    """
    words = SIGNS[language]
    if camera_state == "paused":
        return "paused", words["paused_by"].format(who=who, until=until) if who and until else words["paused_only"]
    why = words.get(camera_state, "") if camera_state in ("stalled", "reconnecting", "offline") else ""
    return "blind", f"{words['dead'] if camera_state is None else why} {words['blind_help']}".strip()
