"""Terms of column names in other languages, and of PLC tags.

German, French, Spanish, Portuguese, Italian, Dutch, Polish and Swedish.

Words are lower-case and without accents. A long term also ends a compound, such as `Motorstrom`.
"""

from functools import cache

LONG = 5  # letters of a term that ends a compound
# English word: terms, separated by spaces.
_TERMS = {
    "time": "zeit temps tiempo tempo tijd czas tid uhrzeit heure hora ora cas zaman aika",
    "timestamp": "zeitstempel horodatage horodate tijdstempel",
    "position": "weg posicion posicao posizione positie stellung lage polozenie",
    "angle": "winkel angulo angolo hoek kat vinkel ang",
    "height": "hohe hauteur altura altezza hoogte",
    "velocity": "geschwindigkeit vitesse velocidad velocidade velocita snelheid predkosc hastighet "
    "velo",
    "speed": "drehzahl toerental regime giri obroty varvtal spd",
    "acceleration": "beschleunigung acceleracao aceleracion aceleracao accelerazione versnelling",
    "pressure": "druck pression presion pressao pressione cisnienie tryck",
    "temperature": "temperatur temperatura temperatuur",
    "flow": "durchfluss volumenstrom debit caudal vazao portata debiet",
    "level": "fullstand pegel niveau nivel livello poziom niva",
    "current": "strom courant corriente corrente stroom prad",
    "voltage": "spannung tensao tensione voltaje spanning napiecie",
    "force": "kraft fuerza forca forza kracht sila",
    "torque": "drehmoment moment torsion couple coppia koppel momento par vridmoment torq",
    "command": "stellgrosse stellwert stellgrad stellsignal befehl commande comando mando comandi "
    "stuursignaal lmn manipulated sterowanie styrsignal ansteuerung aansturing",
    "control": "controle controllo steuerung",
    "controller": "regler regulateur controlador regolatore regulador regelaar regulator",
    "duty": "tastgrad tastverhaltnis cyclique",
    "throttle": "fahrpedal gaspedal drosselklappe",
    "steering": "lenkrad lenkung volant kierownica",
    "brake": "bremse brems bremspedal frein freno brk",
    "mixer": "mischer",
    "damper": "klappe",
    "frequency": "frequenz frequence frecuencia frequencia frequenza freq",
    "valve": "ventil vanne valvula valvola klep",
    "pump": "pumpe pumpen pompe bomba pompa",
    "fan": "lufter ventilator ventilateur ventilador ventilatore",
    "heater": "heizung heizleistung chauffage calentador aquecedor riscaldatore verwarming",
    "motor": "moteur motore",
    "setpoint": "sollwert soll fuhrungsgrosse consigne consigna referencia riferimento setpunt "
    "gewenst vorgabe deseado deseada zadana zadany borvarde stpt setp setpt",
    "requested": "req rq rqst dmd demande demandee richiesta richiesto comandata comandato",
    "target": "tgt trgt nom nominal",
    "measured": "regelgrosse istwert ist mesure mesuree reel reelle medida medido misura misurato "
    "misurata effettiva effettivo gemeten gemessen zmierzona rzeczywista arvarde",
    "feedback": "ruckmeldung",
    "output": "ausgang sortie saida salida uscita uitgang",
    "input": "eingang entree entrada ingresso ingang",
    "error": "fehler abweichung regelabweichung regeldifferenz schleppabstand ecart erreur erro "
    "errore fout",
    "latitude": "breitengrad latitud latitudine breedtegraad",
    "longitude": "langengrad longitud longitudine lengtegraad",
    "odometer": "kilometerstand zahlerstand",
    "stroke": "hub course corsa carrera curso slag",
    "distance": "entfernung abstand strecke distancia distanza afstand",
    "energy": "energie energia",
    "capacity": "kapazitat capacite capacidad capacidade capacita",
    "soc": "ladezustand",
    "cell": "zell zelle celda celula cellule cella",
    "power": "leistung puissance potencia potenza vermogen",
}
_ENGLISH = {term: word for word, terms in _TERMS.items() for term in terms.split()}
# Last words of PLC tags, such as PIC101.SP: set point, process value, manipulated variable.
TAGS = {
    "sp": "setpoint",
    "sv": "setpoint",
    "pv": "measured",
    "mv": "command",
    "op": "command",
    "cv": "command",
}


def word_set(text: str, more: set[str] | None = None) -> set[str]:
    """Return the words of a text, such as the terms of a vocabulary, and more words."""
    return {*text.split(), *(more or ())}


_TARGETS = ("soll", "ist")  # first words of compounds such as Sollmoment


def translate(words: list[str]) -> list[str]:
    """Return words in English; a tag such as `FIC7.MV` ends with what it is."""
    english = [part for word in words for part in _translate(word)]
    if len(words) > 2 and words[-1] == "cv" and {*words[-2:-1]} & {*TAGS, "out"}:
        english, words = english[:-1], words[:-1]  # FIC101/SP.CV: the current value of SP
    is_tag = len(words) > 1 and words[-1] in TAGS and any(word.isdigit() for word in words)
    return [*english[:-1], TAGS[words[-1]]] if is_tag else english


@cache
def _translate(word: str) -> list[str]:
    if word in _ENGLISH:
        return [_ENGLISH[word]]
    for target in _TARGETS:
        if word.startswith(target) and (rest := _translate(word.removeprefix(target)))[0] in _TERMS:
            return [_ENGLISH[target], *rest]
    term = max((t for t in _ENGLISH if len(t) >= LONG and word.endswith(t)), key=len, default="")
    if not term:
        return [word]
    start = word.removesuffix(term)  # of Geschwindigkeitssollwert
    return [*_translate(start if len(start) < LONG else start.removesuffix("s")), _ENGLISH[term]]
