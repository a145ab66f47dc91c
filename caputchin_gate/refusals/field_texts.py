"""What stands at a field of a form that is shown again, in the languages of `texts.py`.

A page of its own sends its reader back to the form; here the form is there already, with a fresh check on its way.
"""

# ruff: noqa: RUF001 (typographic apostrophes are what these languages are printed with)

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from caputchin_gate.refusals.texts import Notice

FIELD_TEXTS: Final[Mapping[str, Mapping[Notice, str]]] = {
    "en": {
        Notice.MISSING: "The check of this form was missing. Please allow JavaScript and send it again.",
        Notice.INVALID: "The check of this form could not be confirmed. Please send it again.",
        Notice.EXPIRED: "The check of this form has expired. Please send it again.",
        Notice.UNAVAILABLE: "The fault is on our side: this form can’t be checked now. "
        "Please try again in a few minutes.",
    },
    "de": {
        Notice.MISSING: "Die Prüfung dieses Formulars fehlte. Bitte erlauben Sie JavaScript und senden Sie es erneut.",
        Notice.INVALID: "Die Prüfung dieses Formulars konnte nicht bestätigt werden. Bitte senden Sie es erneut.",
        Notice.EXPIRED: "Die Prüfung dieses Formulars ist abgelaufen. Bitte senden Sie es erneut.",
        Notice.UNAVAILABLE: "Der Fehler liegt bei uns: Dieses Formular kann gerade nicht geprüft werden. "
        "Bitte versuchen Sie es in einigen Minuten erneut.",
    },
    "fr": {
        Notice.MISSING: "La vérification de ce formulaire manquait. "
        "Veuillez autoriser JavaScript et l’envoyer à nouveau.",
        Notice.INVALID: "La vérification de ce formulaire n’a pas pu être confirmée. Veuillez l’envoyer à nouveau.",
        Notice.EXPIRED: "La vérification de ce formulaire a expiré. Veuillez l’envoyer à nouveau.",
        Notice.UNAVAILABLE: "Le problème vient de notre côté : ce formulaire ne peut pas être vérifié pour le moment. "
        "Veuillez réessayer dans quelques minutes.",
    },
    "es": {
        Notice.MISSING: "Faltaba la comprobación de este formulario. Permita JavaScript y envíelo de nuevo.",
        Notice.INVALID: "No se pudo confirmar la comprobación de este formulario. Envíelo de nuevo.",
        Notice.EXPIRED: "La comprobación de este formulario ha caducado. Envíelo de nuevo.",
        Notice.UNAVAILABLE: "El fallo es nuestro: este formulario no se puede comprobar ahora. "
        "Inténtelo de nuevo en unos minutos.",
    },
    "it": {
        Notice.MISSING: "La verifica di questo modulo mancava. Consenta JavaScript e lo invii di nuovo.",
        Notice.INVALID: "La verifica di questo modulo non ha potuto essere confermata. Lo invii di nuovo.",
        Notice.EXPIRED: "La verifica di questo modulo è scaduta. Lo invii di nuovo.",
        Notice.UNAVAILABLE: "L’errore è nostro: questo modulo non può essere verificato ora. "
        "Riprovi tra qualche minuto.",
    },
    "nl": {
        Notice.MISSING: "De controle van dit formulier ontbrak. Sta JavaScript toe en verstuur het opnieuw.",
        Notice.INVALID: "De controle van dit formulier kon niet worden bevestigd. Verstuur het opnieuw.",
        Notice.EXPIRED: "De controle van dit formulier is verlopen. Verstuur het opnieuw.",
        Notice.UNAVAILABLE: "De fout ligt bij ons: dit formulier kan nu niet worden gecontroleerd. "
        "Probeer het over een paar minuten opnieuw.",
    },
    "pl": {
        Notice.MISSING: "Zabrakło weryfikacji tego formularza. Zezwól na JavaScript i wyślij go ponownie.",
        Notice.INVALID: "Nie udało się potwierdzić weryfikacji tego formularza. Wyślij go ponownie.",
        Notice.EXPIRED: "Weryfikacja tego formularza wygasła. Wyślij go ponownie.",
        Notice.UNAVAILABLE: "Błąd leży po naszej stronie: nie można teraz zweryfikować tego formularza. "
        "Spróbuj ponownie za kilka minut.",
    },
    "pt": {
        Notice.MISSING: "Faltava a verificação deste formulário. Permita o JavaScript e envie-o novamente.",
        Notice.INVALID: "A verificação deste formulário não pôde ser confirmada. Envie-o novamente.",
        Notice.EXPIRED: "A verificação deste formulário expirou. Envie-o novamente.",
        Notice.UNAVAILABLE: "A falha é nossa: este formulário não pode ser verificado agora. "
        "Tente novamente dentro de alguns minutos.",
    },
}
