"""What a refused visitor reads, in eight languages: the words alone; `answers.py` chooses among them.

They are written for people who did nothing wrong: they tell what happened, never why somebody might be suspected, and
say so plainly where the fault is ours. They are constants, and no part of a request ever joins them (threats.md R36).
"""

# ruff: noqa: RUF001 (typographic apostrophes are what these languages are printed with)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Notice(StrEnum):
    """The few kinds of refusal that a visitor needs to tell apart."""

    MISSING = "missing"
    INVALID = "invalid"
    EXPIRED = "expired"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too-large"
    SLOW_DOWN = "slow-down"
    UNAVAILABLE = "unavailable"
    NO_ANSWER = "no-answer"  # of the application behind a sidecar


@dataclass(frozen=True, slots=True)
class Words:
    """A heading, what happened, and what to do now."""

    title: str
    happened: str
    advice: str

    @property
    def sentences(self) -> str:
        return f"{self.happened} {self.advice}"


@dataclass(frozen=True, slots=True)
class Language:
    """`back_link` is the label of a link to the form; `back_button` is said where no link is configured."""

    notices: Mapping[Notice, Words]
    back_link: str
    back_button: str


LANGUAGES: Final[Mapping[str, Language]] = {
    "en": Language(
        {
            Notice.MISSING: Words(
                "The form was not sent",
                "This form is protected against automated messages, and the check that belongs to it was missing.",
                "Please go back, wait a moment until the form is ready, and send it again. "
                "If this page appears again, please allow JavaScript for this site.",
            ),
            Notice.INVALID: Words(
                "The form was not sent",
                "The check that came with the form could not be confirmed.",
                "Please go back, reload the form and send it again.",
            ),
            Notice.EXPIRED: Words(
                "The check has expired",
                "Each check is valid for a short time and only once. "
                "It ends when a form stays open for long or is sent twice.",
                "If you have sent the form already, it may have arrived. Otherwise please go back and send it again.",
            ),
            Notice.UNREADABLE: Words(
                "The form could not be read",
                "Your message arrived incomplete, or in a format that this site can’t read.",
                "Please go back and send the form again.",
            ),
            Notice.TOO_LARGE: Words(
                "The form is too large",
                "Together with its attachments it is larger than this site accepts.",
                "Please go back, make it smaller, for example by attaching fewer or smaller files, and send it again.",
            ),
            Notice.SLOW_DOWN: Words(
                "Please wait a moment",
                "More forms came from your network in a short time than this site accepts at once.",
                "Please wait a minute, then go back and send the form again.",
            ),
            Notice.UNAVAILABLE: Words(
                "Please try again in a few minutes",
                "The fault is on our side: the check that protects this form is not available at the moment.",
                "Please wait a few minutes, then go back and send the form again.",
            ),
            Notice.NO_ANSWER: Words(
                "This page is not available at the moment",
                "The fault is on our side: the site does not answer.",
                "Please try again in a few minutes. If you have sent a form, it may have arrived.",
            ),
        },
        back_link="Back to the form",
        back_button="Your browser’s Back button takes you to the form. What you typed is usually still there.",
    ),
    "de": Language(
        {
            Notice.MISSING: Words(
                "Das Formular wurde nicht gesendet",
                "Dieses Formular ist vor automatischen Nachrichten geschützt, und die zugehörige Prüfung fehlte.",
                "Bitte gehen Sie zurück, warten Sie einen Moment, bis das Formular bereit ist, "
                "und senden Sie es erneut. "
                "Erscheint diese Seite wieder, erlauben Sie bitte JavaScript für diese Website.",
            ),
            Notice.INVALID: Words(
                "Das Formular wurde nicht gesendet",
                "Die Prüfung, die mit dem Formular kam, konnte nicht bestätigt werden.",
                "Bitte gehen Sie zurück, laden Sie das Formular neu und senden Sie es erneut.",
            ),
            Notice.EXPIRED: Words(
                "Die Prüfung ist abgelaufen",
                "Jede Prüfung gilt nur kurze Zeit und nur einmal. "
                "Sie endet, wenn ein Formular lange offen bleibt oder zweimal gesendet wird.",
                "Falls Sie das Formular schon gesendet haben, ist es vielleicht angekommen. "
                "Sonst gehen Sie bitte zurück und senden es erneut.",
            ),
            Notice.UNREADABLE: Words(
                "Das Formular war nicht lesbar",
                "Ihre Nachricht kam unvollständig an oder in einem Format, das diese Website nicht lesen kann.",
                "Bitte gehen Sie zurück und senden Sie das Formular erneut.",
            ),
            Notice.TOO_LARGE: Words(
                "Das Formular ist zu groß",
                "Zusammen mit seinen Anhängen ist es größer, als diese Website annimmt.",
                "Bitte gehen Sie zurück, verkleinern Sie es, zum Beispiel mit weniger oder kleineren Dateien, "
                "und senden Sie es erneut.",
            ),
            Notice.SLOW_DOWN: Words(
                "Bitte warten Sie einen Moment",
                "Aus Ihrem Netzwerk kamen in kurzer Zeit mehr Formulare, als diese Website auf einmal annimmt.",
                "Bitte warten Sie eine Minute, gehen Sie dann zurück und senden Sie das Formular erneut.",
            ),
            Notice.UNAVAILABLE: Words(
                "Bitte versuchen Sie es in einigen Minuten erneut",
                "Der Fehler liegt bei uns: Die Prüfung, die dieses Formular schützt, ist zurzeit nicht verfügbar.",
                "Bitte warten Sie einige Minuten, gehen Sie dann zurück und senden Sie das Formular erneut.",
            ),
            Notice.NO_ANSWER: Words(
                "Diese Seite ist zurzeit nicht verfügbar",
                "Der Fehler liegt bei uns: Die Website antwortet nicht.",
                "Bitte versuchen Sie es in einigen Minuten erneut. "
                "Falls Sie ein Formular gesendet haben, ist es vielleicht angekommen.",
            ),
        },
        back_link="Zurück zum Formular",
        back_button="Mit der Zurück-Taste Ihres Browsers gelangen Sie zum Formular. "
        "Ihre Eingaben sind meist noch vorhanden.",
    ),
    "fr": Language(
        {
            Notice.MISSING: Words(
                "Le formulaire n’a pas été envoyé",
                "Ce formulaire est protégé contre les messages automatiques, "
                "et la vérification qui l’accompagne était absente.",
                "Veuillez revenir en arrière, attendre un instant que le formulaire soit prêt, "
                "puis l’envoyer de nouveau. "
                "Si cette page réapparaît, veuillez autoriser JavaScript pour ce site.",
            ),
            Notice.INVALID: Words(
                "Le formulaire n’a pas été envoyé",
                "La vérification jointe au formulaire n’a pas pu être confirmée.",
                "Veuillez revenir en arrière, recharger le formulaire et l’envoyer de nouveau.",
            ),
            Notice.EXPIRED: Words(
                "La vérification a expiré",
                "Chaque vérification est valable peu de temps et une seule fois. "
                "Elle prend fin si un formulaire reste longtemps ouvert ou s’il est envoyé deux fois.",
                "Si vous avez déjà envoyé le formulaire, il est peut-être arrivé. "
                "Sinon, veuillez revenir en arrière et l’envoyer de nouveau.",
            ),
            Notice.UNREADABLE: Words(
                "Le formulaire n’a pas pu être lu",
                "Votre message est arrivé incomplet ou dans un format que ce site ne peut pas lire.",
                "Veuillez revenir en arrière et envoyer le formulaire de nouveau.",
            ),
            Notice.TOO_LARGE: Words(
                "Le formulaire est trop volumineux",
                "Avec ses pièces jointes, il dépasse la taille acceptée par ce site.",
                "Veuillez revenir en arrière, le réduire, par exemple en joignant des fichiers moins nombreux "
                "ou plus petits, puis l’envoyer de nouveau.",
            ),
            Notice.SLOW_DOWN: Words(
                "Veuillez patienter un instant",
                "Votre réseau a envoyé en peu de temps plus de formulaires que ce site n’en accepte à la fois.",
                "Veuillez attendre une minute, puis revenir en arrière et envoyer le formulaire de nouveau.",
            ),
            Notice.UNAVAILABLE: Words(
                "Veuillez réessayer dans quelques minutes",
                "Le problème vient de chez nous : "
                "la vérification qui protège ce formulaire n’est pas disponible pour le moment.",
                "Veuillez attendre quelques minutes, puis revenir en arrière et envoyer le formulaire de nouveau.",
            ),
            Notice.NO_ANSWER: Words(
                "Cette page n’est pas disponible pour le moment",
                "Le problème vient de chez nous : le site ne répond pas.",
                "Veuillez réessayer dans quelques minutes. Si vous avez envoyé un formulaire, il est peut-être arrivé.",
            ),
        },
        back_link="Retour au formulaire",
        back_button="Le bouton Précédent de votre navigateur vous ramène au formulaire. "
        "Votre saisie y est en général conservée.",
    ),
    "es": Language(
        {
            Notice.MISSING: Words(
                "El formulario no se ha enviado",
                "Este formulario está protegido contra mensajes automáticos y faltaba la verificación correspondiente.",
                "Vuelva atrás, espere un momento a que el formulario esté listo y envíelo de nuevo. "
                "Si esta página vuelve a aparecer, permita JavaScript en este sitio.",
            ),
            Notice.INVALID: Words(
                "El formulario no se ha enviado",
                "No se ha podido confirmar la verificación que acompañaba al formulario.",
                "Vuelva atrás, recargue el formulario y envíelo de nuevo.",
            ),
            Notice.EXPIRED: Words(
                "La verificación ha caducado",
                "Cada verificación es válida poco tiempo y una sola vez. "
                "Termina cuando un formulario permanece abierto mucho tiempo o se envía dos veces.",
                "Si ya ha enviado el formulario, es posible que haya llegado. "
                "De lo contrario, vuelva atrás y envíelo de nuevo.",
            ),
            Notice.UNREADABLE: Words(
                "No se ha podido leer el formulario",
                "Su mensaje ha llegado incompleto o en un formato que este sitio no puede leer.",
                "Vuelva atrás y envíe el formulario de nuevo.",
            ),
            Notice.TOO_LARGE: Words(
                "El formulario es demasiado grande",
                "Junto con sus archivos adjuntos supera el tamaño que acepta este sitio.",
                "Vuelva atrás, redúzcalo, por ejemplo con menos archivos o más pequeños, y envíelo de nuevo.",
            ),
            Notice.SLOW_DOWN: Words(
                "Espere un momento",
                "Desde su red han llegado en poco tiempo más formularios de los que este sitio acepta a la vez.",
                "Espere un minuto, vuelva atrás y envíe el formulario de nuevo.",
            ),
            Notice.UNAVAILABLE: Words(
                "Vuelva a intentarlo en unos minutos",
                "El problema es nuestro: "
                "la verificación que protege este formulario no está disponible en este momento.",
                "Espere unos minutos, vuelva atrás y envíe el formulario de nuevo.",
            ),
            Notice.NO_ANSWER: Words(
                "Esta página no está disponible en este momento",
                "El problema es nuestro: el sitio no responde.",
                "Vuelva a intentarlo en unos minutos. Si ha enviado un formulario, es posible que haya llegado.",
            ),
        },
        back_link="Volver al formulario",
        back_button="El botón Atrás de su navegador le lleva al formulario. Lo que escribió suele seguir allí.",
    ),
    "it": Language(
        {
            Notice.MISSING: Words(
                "Il modulo non è stato inviato",
                "Questo modulo è protetto dai messaggi automatici e mancava la verifica che lo accompagna.",
                "Torni indietro, attenda un momento che il modulo sia pronto e lo invii di nuovo. "
                "Se questa pagina ricompare, consenta JavaScript per questo sito.",
            ),
            Notice.INVALID: Words(
                "Il modulo non è stato inviato",
                "Non è stato possibile confermare la verifica che accompagnava il modulo.",
                "Torni indietro, ricarichi il modulo e lo invii di nuovo.",
            ),
            Notice.EXPIRED: Words(
                "La verifica è scaduta",
                "Ogni verifica vale per poco tempo e una sola volta. "
                "Termina quando un modulo resta aperto a lungo o viene inviato due volte.",
                "Se ha già inviato il modulo, potrebbe essere arrivato. Altrimenti torni indietro e lo invii di nuovo.",
            ),
            Notice.UNREADABLE: Words(
                "Non è stato possibile leggere il modulo",
                "Il suo messaggio è arrivato incompleto o in un formato che questo sito non può leggere.",
                "Torni indietro e invii di nuovo il modulo.",
            ),
            Notice.TOO_LARGE: Words(
                "Il modulo è troppo grande",
                "Insieme agli allegati supera la dimensione accettata da questo sito.",
                "Torni indietro, lo riduca, per esempio con file meno numerosi o più piccoli, e lo invii di nuovo.",
            ),
            Notice.SLOW_DOWN: Words(
                "Attenda un momento",
                "Dalla sua rete sono arrivati in poco tempo più moduli di quanti questo sito ne accetti insieme.",
                "Attenda un minuto, poi torni indietro e invii di nuovo il modulo.",
            ),
            Notice.UNAVAILABLE: Words(
                "Riprovi tra qualche minuto",
                "Il problema è nostro: la verifica che protegge questo modulo al momento non è disponibile.",
                "Attenda qualche minuto, poi torni indietro e invii di nuovo il modulo.",
            ),
            Notice.NO_ANSWER: Words(
                "Questa pagina al momento non è disponibile",
                "Il problema è nostro: il sito non risponde.",
                "Riprovi tra qualche minuto. Se ha inviato un modulo, potrebbe essere arrivato.",
            ),
        },
        back_link="Torna al modulo",
        back_button="Il pulsante Indietro del browser la riporta al modulo. "
        "Di solito il testo inserito è ancora presente.",
    ),
    "nl": Language(
        {
            Notice.MISSING: Words(
                "Het formulier is niet verzonden",
                "Dit formulier is beveiligd tegen automatische berichten en de bijbehorende controle ontbrak.",
                "Ga terug, wacht even tot het formulier klaar is en verzend het opnieuw. "
                "Verschijnt deze pagina weer, sta dan JavaScript toe voor deze site.",
            ),
            Notice.INVALID: Words(
                "Het formulier is niet verzonden",
                "De controle die bij het formulier hoorde, kon niet worden bevestigd.",
                "Ga terug, laad het formulier opnieuw en verzend het nog eens.",
            ),
            Notice.EXPIRED: Words(
                "De controle is verlopen",
                "Elke controle is kort geldig en slechts één keer. "
                "Ze vervalt als een formulier lang openstaat of twee keer wordt verzonden.",
                "Hebt u het formulier al verzonden, dan is het misschien aangekomen. "
                "Ga anders terug en verzend het opnieuw.",
            ),
            Notice.UNREADABLE: Words(
                "Het formulier kon niet worden gelezen",
                "Uw bericht is onvolledig aangekomen of in een indeling die deze site niet kan lezen.",
                "Ga terug en verzend het formulier opnieuw.",
            ),
            Notice.TOO_LARGE: Words(
                "Het formulier is te groot",
                "Samen met de bijlagen is het groter dan deze site accepteert.",
                "Ga terug, maak het kleiner, bijvoorbeeld met minder of kleinere bestanden, en verzend het opnieuw.",
            ),
            Notice.SLOW_DOWN: Words(
                "Een ogenblik geduld",
                "Vanuit uw netwerk kwamen in korte tijd meer formulieren dan deze site tegelijk accepteert.",
                "Wacht een minuut, ga dan terug en verzend het formulier opnieuw.",
            ),
            Notice.UNAVAILABLE: Words(
                "Probeer het over enkele minuten opnieuw",
                "De fout ligt bij ons: de controle die dit formulier beveiligt, is op dit moment niet beschikbaar.",
                "Wacht enkele minuten, ga dan terug en verzend het formulier opnieuw.",
            ),
            Notice.NO_ANSWER: Words(
                "Deze pagina is op dit moment niet beschikbaar",
                "De fout ligt bij ons: de site antwoordt niet.",
                "Probeer het over enkele minuten opnieuw. "
                "Als u een formulier hebt verzonden, is het mogelijk aangekomen.",
            ),
        },
        back_link="Terug naar het formulier",
        back_button="Met de knop Vorige van uw browser komt u terug bij het formulier. "
        "Wat u hebt ingevuld, staat er meestal nog.",
    ),
    "pl": Language(
        {
            Notice.MISSING: Words(
                "Formularz nie został wysłany",
                "Ten formularz jest chroniony przed automatycznymi wiadomościami, "
                "a związana z nim weryfikacja nie dotarła.",
                "Proszę wrócić, odczekać chwilę, aż formularz będzie gotowy, i wysłać go ponownie. "
                "Jeśli ta strona pojawi się znowu, proszę zezwolić tej witrynie na JavaScript.",
            ),
            Notice.INVALID: Words(
                "Formularz nie został wysłany",
                "Nie udało się potwierdzić weryfikacji dołączonej do formularza.",
                "Proszę wrócić, odświeżyć formularz i wysłać go ponownie.",
            ),
            Notice.EXPIRED: Words(
                "Weryfikacja wygasła",
                "Każda weryfikacja jest ważna krótko i tylko raz. "
                "Wygasa, gdy formularz jest długo otwarty lub zostanie wysłany dwa razy.",
                "Jeśli formularz został już wysłany, być może dotarł. "
                "W innym razie proszę wrócić i wysłać go ponownie.",
            ),
            Notice.UNREADABLE: Words(
                "Nie udało się odczytać formularza",
                "Wiadomość dotarła niekompletna albo w formacie, którego ta witryna nie odczytuje.",
                "Proszę wrócić i wysłać formularz ponownie.",
            ),
            Notice.TOO_LARGE: Words(
                "Formularz jest za duży",
                "Razem z załącznikami przekracza rozmiar, który przyjmuje ta witryna.",
                "Proszę wrócić, zmniejszyć go, na przykład dołączając mniej plików lub mniejsze pliki, "
                "i wysłać ponownie.",
            ),
            Notice.SLOW_DOWN: Words(
                "Proszę chwilę poczekać",
                "Z tej sieci nadeszło w krótkim czasie więcej formularzy, niż ta witryna przyjmuje naraz.",
                "Proszę odczekać minutę, a potem wrócić i wysłać formularz ponownie.",
            ),
            Notice.UNAVAILABLE: Words(
                "Proszę spróbować za kilka minut",
                "Problem leży po naszej stronie: weryfikacja, która chroni ten formularz, jest chwilowo niedostępna.",
                "Proszę odczekać kilka minut, a potem wrócić i wysłać formularz ponownie.",
            ),
            Notice.NO_ANSWER: Words(
                "Ta strona jest chwilowo niedostępna",
                "Problem leży po naszej stronie: serwis nie odpowiada.",
                "Proszę spróbować ponownie za kilka minut. Jeśli formularz został wysłany, mógł już dotrzeć.",
            ),
        },
        back_link="Powrót do formularza",
        back_button="Przycisk Wstecz w przeglądarce prowadzi z powrotem do formularza. "
        "Wpisana treść zwykle jest nadal dostępna.",
    ),
    "pt": Language(
        {
            Notice.MISSING: Words(
                "O formulário não foi enviado",
                "Este formulário está protegido contra mensagens automáticas e faltava a verificação correspondente.",
                "Volte atrás, aguarde um momento até o formulário estar pronto e envie-o novamente. "
                "Se esta página voltar a aparecer, permita o JavaScript neste site.",
            ),
            Notice.INVALID: Words(
                "O formulário não foi enviado",
                "Não foi possível confirmar a verificação que acompanhava o formulário.",
                "Volte atrás, recarregue o formulário e envie-o novamente.",
            ),
            Notice.EXPIRED: Words(
                "A verificação expirou",
                "Cada verificação é válida por pouco tempo e uma única vez. "
                "Termina quando um formulário fica aberto muito tempo ou é enviado duas vezes.",
                "Se já enviou o formulário, é possível que tenha chegado. "
                "Caso contrário, volte atrás e envie-o novamente.",
            ),
            Notice.UNREADABLE: Words(
                "Não foi possível ler o formulário",
                "A sua mensagem chegou incompleta ou num formato que este site não consegue ler.",
                "Volte atrás e envie o formulário novamente.",
            ),
            Notice.TOO_LARGE: Words(
                "O formulário é demasiado grande",
                "Juntamente com os anexos, excede o tamanho que este site aceita.",
                "Volte atrás, reduza-o, por exemplo com menos ficheiros ou ficheiros menores, e envie-o novamente.",
            ),
            Notice.SLOW_DOWN: Words(
                "Aguarde um momento",
                "Da sua rede chegaram em pouco tempo mais formulários do que este site aceita de uma vez.",
                "Aguarde um minuto, depois volte atrás e envie o formulário novamente.",
            ),
            Notice.UNAVAILABLE: Words(
                "Tente novamente dentro de alguns minutos",
                "O problema é nosso: a verificação que protege este formulário não está disponível neste momento.",
                "Aguarde alguns minutos, depois volte atrás e envie o formulário novamente.",
            ),
            Notice.NO_ANSWER: Words(
                "Esta página não está disponível neste momento",
                "O problema é nosso: o site não responde.",
                "Tente novamente dentro de alguns minutos. Se enviou um formulário, este pode ter chegado.",
            ),
        },
        back_link="Voltar ao formulário",
        back_button="O botão Voltar do seu navegador leva ao formulário. O que escreveu costuma continuar lá.",
    ),
}
