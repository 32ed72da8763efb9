"""What the built-in voice says, by language; `make sounds` has espeak-ng speak it into `sounds/`."""

from pathlib import Path

from edged.config import Rule

FOLDER = Path(__file__).with_name("sounds")

SENTENCES: dict[str, dict[str, str]] = {
    "en": {
        "mask_none": "Please put on a mask.",
        "mask_incorrect": "Please wear the mask over nose, mouth and chin.",
        "inattention": "Please look ahead.",
        "drowsiness": "You look tired. Please take a break.",
        "camera_lost": "The camera sees nothing.",
    },
    "de": {
        "mask_none": "Bitte setzen Sie eine Maske auf.",
        "mask_incorrect": "Bitte tragen Sie die Maske über Nase, Mund und Kinn.",
        "inattention": "Bitte schauen Sie nach vorn.",
        "drowsiness": "Sie wirken müde. Bitte machen Sie eine Pause.",
        "camera_lost": "Die Kamera sieht nichts.",
    },
    "es": {
        "mask_none": "Por favor, póngase una mascarilla.",
        "mask_incorrect": "Por favor, cubra nariz, boca y barbilla con la mascarilla.",
        "inattention": "Por favor, mire al frente.",
        "drowsiness": "Parece cansado. Por favor, haga una pausa.",
        "camera_lost": "La cámara no ve nada.",
    },
    "fr": {
        "mask_none": "Veuillez mettre un masque.",
        "mask_incorrect": "Veuillez couvrir le nez, la bouche et le menton avec le masque.",
        "inattention": "Veuillez regarder devant vous.",
        "drowsiness": "Vous semblez fatigué. Veuillez faire une pause.",
        "camera_lost": "La caméra ne voit rien.",
    },
    "it": {
        "mask_none": "Per favore, indossi una mascherina.",
        "mask_incorrect": "Per favore, copra naso, bocca e mento con la mascherina.",
        "inattention": "Per favore, guardi avanti.",
        "drowsiness": "Sembra stanco. Per favore, faccia una pausa.",
        "camera_lost": "La telecamera non vede nulla.",
    },
    "pt": {
        "mask_none": "Por favor, coloque uma máscara.",
        "mask_incorrect": "Por favor, cubra o nariz, a boca e o queixo com a máscara.",
        "inattention": "Por favor, olhe para a frente.",
        "drowsiness": "Parece cansado. Por favor, faça uma pausa.",
        "camera_lost": "A câmara não vê nada.",
    },
}


def sentence_for(rule: Rule) -> str | None:
    """The key of the sentence for a rule; None where there is nothing to say."""
    if rule in SENTENCES["en"]:
        return rule
    kind = rule.partition("_")[0]
    return kind if kind in SENTENCES["en"] else None


def recording(language: str, sentence: str) -> Path:
    return FOLDER / language / f"{sentence}.wav"
